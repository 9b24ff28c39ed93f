"""Streams in which no two pictures are equal, so that each can be told byte for byte from all that was not sent."""

from __future__ import annotations

import functools
import io
from fractions import Fraction
from typing import Literal

import av
import numpy as np

_OWN: dict[str, dict[str, object]] = {
    "libx264": {"sliced-threads": 0, "slices": 1},
    "libx265": {"log-level": "none", "pools": "none", "frame-threads": 1, "wpp": 0},  # no threads: small pictures
}


@functools.cache
def noisy(
    form: str,
    codec: Literal["libx264", "libx265"] = "libx264",
    count: int = 30,
    gop: int = 10,
    size: tuple[int, int] = (160, 96),
    **more: object,
) -> bytes:
    """A stream at 25 pictures a second in FFmpeg's ``form``, as cameras send: one slice a picture, none out of order.

    more: options of x264 or x265 themselves, ``_`` for their ``-``.
    """
    own = {"keyint": gop, "min-keyint": gop, "scenecut": 0, "bframes": 0, **_OWN[codec]}
    own |= {name.replace("_", "-"): value for name, value in more.items()}
    options = {
        "crf": "20",
        "preset": "veryfast" if codec == "libx264" else "ultrafast",
        f"{codec[3:]}-params": ":".join(f"{k}={v}" for k, v in own.items()),
    }
    chance, out = np.random.default_rng(7), io.BytesIO()
    wall = chance.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    with av.open(out, "w", format=form) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index in range(count):
            picture = np.roll(wall, 3 * index, axis=1) // 2 + chance.integers(0, 64, wall.shape, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()
