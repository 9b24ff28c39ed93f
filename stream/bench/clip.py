"""``flowtell bench clip``: a clip of any size, rate and length, made from one that shows a face."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated

import av
import cv2
import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from stream.errors import OutputError, UsageError
from stream.records import Image
from stream.sources import read_file


def clip(
    material: Path,
    out: Path,
    *,
    size: str = "1280x720",
    fps: Annotated[int, Parameter(help="Frames a second.")] = 25,
    seconds: float = 20.0,
    share: float = 0.6,
) -> None:
    """Make a clip to measure on.

    Parameters
    ----------
    material
        A video that shows a face; it is played to and fro, in the middle of a larger picture.
    out
        The clip, H.264 in MP4.
    size
        Its width and height.
    seconds
        Its length.
    share
        The material's share of the picture's height or width, whichever it fills first.
    """
    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) >= 64 and int(height) >= 64):
        raise UsageError(f"--size must be WIDTHxHEIGHT, not {size!r}")
    if seconds <= 0 or fps < 1:
        raise UsageError("--seconds and --fps must be positive")
    if not 0 < share <= 1:
        raise UsageError(f"--share must lie between 0 and 1, not {share:g}")
    make_clip(material, out, (int(width), int(height)), fps, seconds, share)


def make_clip(
    material: Path, out: Path, size: tuple[int, int], fps: int = 25, seconds: float = 20.0, share: float = 0.6
) -> Path:
    """``material`` to and fro in the middle of a noisy picture of ``size`` (width, height), H.264.

    Raises:
        SourceNotFound, SourceBroken: no such material. OutputError: ``out`` cannot be written.
    """
    width, height = size
    inner = [
        _fit(frame.picture.bgr(), (round(width * share), round(height * share)))
        for frame, _ in zip(read_file(material), range(200), strict=False)
    ]
    noise = np.random.default_rng(0)
    rough = noise.integers(80, 140, (height // 64 + 2, width // 64 + 2, 3), np.uint8)
    room = np.asarray(cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    grain = noise.integers(0, 12, (8, height, width, 1), np.uint8).repeat(3, axis=3)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(out), "w") as container:
            stream = container.add_stream("libx264", rate=fps, options={"preset": "veryfast", "g": str(2 * fps)})
            # An IP camera's usual rate, 2.5 Mbit/s at 720p25, and a camera's noise: decoding costs what it does there.
            stream.bit_rate = round(2.5e6 * width * height * fps / (1280 * 720 * 25))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for k in range(round(seconds * fps)):
                picture = room.copy()
                face = inner[_to_and_fro(k, len(inner))]
                y, x = (height - face.shape[0]) // 2, (width - face.shape[1]) // 2
                picture[y : y + face.shape[0], x : x + face.shape[1]] = face
                frame = av.VideoFrame.from_ndarray(np.asarray(cv2.add(picture, grain[k % 8]), np.uint8), format="bgr24")
                frame.pts, frame.time_base = k, Fraction(1, fps)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except (OSError, av.error.FFmpegError) as error:
        raise OutputError(f"{out} cannot be written: choose another place and a name that ends with .mp4") from error
    return out


def _fit(picture: Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    """As large as it fits."""
    factor = min(size[0] / picture.shape[1], size[1] / picture.shape[0])
    wide, high = (min(s, round(n * factor)) for s, n in zip(size, (picture.shape[1], picture.shape[0]), strict=True))
    return np.asarray(cv2.resize(picture, (wide, high), interpolation=cv2.INTER_CUBIC), np.uint8)


def _to_and_fro(k: int, count: int) -> int:
    """0, 1, ... count - 1, count - 2, ... 1, 0, 1, ...: no cut, and no loop either."""
    if count == 1:
        return 0
    k %= 2 * count - 2
    return k if k < count else 2 * count - 2 - k
