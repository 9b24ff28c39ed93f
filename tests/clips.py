"""Clips that the tests make for themselves: frame i is one gray level, so that every frame can be told by its mean."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from stream.records import Frame


def level(index: int) -> int:
    """The gray level of frame ``index``; every 20 frames it starts over."""
    return 30 + 10 * (index % 20)


def frame_number(frame: Frame) -> int:
    """Which frame this is, modulo 20, told by its picture."""
    return round((float(frame.picture.bgr().mean()) - 30) / 10)


def write_clip(
    path: Path,
    frames: int = 50,
    size: tuple[int, int] = (64, 48),
    fps: int = 25,
    codec: str = "libx264",
    times: Sequence[int] | None = None,
    picture: NDArray[np.uint8] | None = None,
) -> Path:
    """A clip of ``frames`` gray pictures, or of one BGR ``picture`` again and again.

    ``times`` are the frames' pts in units of 1 / fps s, else 0, 1, 2, ...
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options={"g": "10", "bf": "0", "crf": "10"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for index in range(frames):
            gray = picture if picture is not None else np.full((size[1], size[0], 3), level(index), np.uint8)
            frame = av.VideoFrame.from_ndarray(gray, format="bgr24")
            frame.pts, frame.time_base = (times[index] if times else index), Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
