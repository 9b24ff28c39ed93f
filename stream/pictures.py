"""The decoder's own picture, from which gray, crops and full colour are made when somebody asks.

Converting a whole 1080p frame to BGR costs about 1 ms; a face crop costs a twentieth of that.
"""

from __future__ import annotations

from threading import Lock
from typing import Protocol

import av
import cv2
import numpy as np
from numpy.typing import NDArray

_PLANAR_420 = frozenset({"yuv420p", "yuvj420p"})


class Picture(Protocol):
    """A decoded picture of ``width`` x ``height`` pixels."""

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    def gray(self, long_side: int) -> tuple[NDArray[np.uint8], float]:
        """A gray picture no longer than ``long_side``, and the factor from it back to full size."""

    def bgr(self) -> NDArray[np.uint8]:
        """The whole picture, (H, W, 3) BGR; the caller must not write to it."""

    def crop(self, x: int, y: int, w: int, h: int) -> NDArray[np.uint8]:
        """A region, (h, w, 3) BGR; what lies outside the picture repeats its border."""

    def samples(self, x: int, y: int, w: int, h: int, most: int) -> NDArray[np.uint8]:
        """The luma of every n-th pixel of a region, at most ``most`` a side; what lies outside the picture is left out.

        Nothing is averaged, so that the noise of a camera stays in it.
        """


class ArrayPicture:
    """A BGR array, as a webcam or a test gives it."""

    def __init__(self, bgr: NDArray[np.uint8]) -> None:
        if bgr.ndim != 3 or bgr.shape[2] != 3 or bgr.dtype != np.uint8 or 0 in bgr.shape:
            raise ValueError(f"a picture must be (H, W, 3) uint8, not {bgr.shape} {bgr.dtype}")
        self._bgr = bgr

    @property
    def width(self) -> int:
        return int(self._bgr.shape[1])

    @property
    def height(self) -> int:
        return int(self._bgr.shape[0])

    def gray(self, long_side: int) -> tuple[NDArray[np.uint8], float]:
        small, factor = _shrink(self._bgr, long_side)
        return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8), factor

    def bgr(self) -> NDArray[np.uint8]:
        return self._bgr

    def crop(self, x: int, y: int, w: int, h: int) -> NDArray[np.uint8]:
        x0, y0, x1, y1 = _inside(self, x, y, w, h)
        return _replicate(self._bgr[y0:y1, x0:x1], x, y, w, h, x0, y0)

    def samples(self, x: int, y: int, w: int, h: int, most: int) -> NDArray[np.uint8]:
        x0, y0, x1, y1 = _inside(self, x, y, w, h)
        step = -(-max(w, h) // most)
        return np.asarray(cv2.cvtColor(self._bgr[y0:y1:step, x0:x1:step].copy(), cv2.COLOR_BGR2GRAY), np.uint8)


class VideoPicture:
    """A frame as PyAV decoded it; planar 4:2:0 is cropped before it is converted."""

    def __init__(self, frame: av.VideoFrame) -> None:
        # Hardware frames come down as nv12; one software format keeps the rest of the code single.
        self._frame = (
            frame
            if frame.format.name in _PLANAR_420 or frame.format.is_rgb
            else frame.reformat(format="yuv420p", threads=1)
        )
        self._bgr: NDArray[np.uint8] | None = None
        # The window and the recording ask on threads of their own, and PyAV hangs when two convert one frame at once.
        self._converting = Lock()

    @property
    def width(self) -> int:
        return self._frame.width

    @property
    def height(self) -> int:
        return self._frame.height

    def _plane(self, index: int) -> NDArray[np.uint8]:
        plane = self._frame.planes[index]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        return rows[: plane.height, : plane.width]

    def gray(self, long_side: int) -> tuple[NDArray[np.uint8], float]:
        if self._frame.format.name in _PLANAR_420:
            return _shrink(self._plane(0), long_side)
        return ArrayPicture(self.bgr()).gray(long_side)

    def bgr(self) -> NDArray[np.uint8]:
        with self._converting:
            if self._bgr is None:
                self._bgr = _to_bgr(self._frame)
            return self._bgr

    def crop(self, x: int, y: int, w: int, h: int) -> NDArray[np.uint8]:
        if self._frame.format.name not in _PLANAR_420:
            return ArrayPicture(self.bgr()).crop(x, y, w, h)
        x0, y0, x1, y1 = _inside(self, x, y, w, h)
        # Chroma has half the resolution: convert a region that starts and ends on even pixels, then trim it.
        ex, ey = x0 & ~1, y0 & ~1
        ew, eh = -(-(x1 - ex) // 2) * 2, -(-(y1 - ey) // 2) * 2
        luma = self._plane(0)[ey : ey + eh, ex : ex + ew]
        chroma = [self._plane(k)[ey // 2 : (ey + eh) // 2, ex // 2 : (ex + ew) // 2] for k in (1, 2)]
        if luma.shape != (eh, ew):  # a frame of odd size ends half way through a chroma pixel
            luma = np.pad(luma, ((0, eh - luma.shape[0]), (0, ew - luma.shape[1])), mode="edge")
        i420 = np.concatenate([luma.reshape(-1), chroma[0].reshape(-1), chroma[1].reshape(-1)])
        region = av.VideoFrame.from_ndarray(i420.reshape(eh * 3 // 2, ew), format=self._frame.format.name)
        region.colorspace = self._frame.colorspace
        region.color_range = self._frame.color_range
        bgr = _to_bgr(region)[y0 - ey : y1 - ey, x0 - ex : x1 - ex]
        return _replicate(bgr, x, y, w, h, x0, y0)

    def samples(self, x: int, y: int, w: int, h: int, most: int) -> NDArray[np.uint8]:
        if self._frame.format.name not in _PLANAR_420:
            return ArrayPicture(self.bgr()).samples(x, y, w, h, most)
        x0, y0, x1, y1 = _inside(self, x, y, w, h)
        step = -(-max(w, h) // most)
        return self._plane(0)[y0:y1:step, x0:x1:step].copy()


def _to_bgr(frame: av.VideoFrame) -> NDArray[np.uint8]:
    # One thread: by default PyAV starts one for each core and picture, which costs more than most conversions.
    return np.asarray(frame.to_ndarray(format="bgr24", threads=1), np.uint8)


def _shrink(picture: NDArray[np.uint8], long_side: int) -> tuple[NDArray[np.uint8], float]:
    height, width = picture.shape[:2]
    factor = max(height, width) / long_side
    if factor <= 1:
        return picture, 1.0
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    # INTER_AREA by more than 2 costs as much as a Haar pass; INTER_LINEAR at these factors finds the same faces.
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8), factor


def _inside(picture: Picture, x: int, y: int, w: int, h: int) -> tuple[int, int, int, int]:
    """The part of a region that lies in the picture; at least one pixel, the nearest, where none does."""
    x0, y0 = min(max(x, 0), picture.width - 1), min(max(y, 0), picture.height - 1)
    return x0, y0, max(min(x + w, picture.width), x0 + 1), max(min(y + h, picture.height), y0 + 1)


def _replicate(part: NDArray[np.uint8], x: int, y: int, w: int, h: int, x0: int, y0: int) -> NDArray[np.uint8]:
    """``part``, which starts at (x0, y0), extended to the region (x, y, w, h) by repeating its border."""
    left, top = min(x0 - x, w - 1) if x0 > x else 0, min(y0 - y, h - 1) if y0 > y else 0
    right, bottom = w - left - part.shape[1], h - top - part.shape[0]
    if not (left or top or right or bottom):
        return part
    right, bottom = max(right, 0), max(bottom, 0)
    return np.asarray(cv2.copyMakeBorder(part, top, bottom, left, right, cv2.BORDER_REPLICATE)[:h, :w], np.uint8)
