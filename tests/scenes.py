"""Pictures and frames that the tests draw for themselves: patterned "faces" before a patterned wall, by seed."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.pictures import ArrayPicture
from stream.records import Box, Face, Frame, Image, Pair, Track

SIZE = (240, 320)  # rows, columns
FACE_PX = 96


def pattern(seed: int, size: tuple[int, int], cells: int = 8, low: int = 40, high: int = 230) -> Image:
    """A random picture with sharp edges, of ``cells`` patches a side; (rows, columns, 3) BGR."""
    patches = np.random.default_rng(seed).integers(low, high, (cells, cells, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(patches, size[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)


def scene(person: int | None = 1, wall: int = 100, x: int = 112, y: int = 72, size: tuple[int, int] = SIZE) -> Image:
    """A wall, and a person's face of FACE_PX pixels at (x, y) before it."""
    picture = pattern(wall, size, 6)
    if person is not None:
        picture[y : y + FACE_PX, x : x + FACE_PX] = pattern(person, (FACE_PX, FACE_PX))
    return picture


def frame(index: int, bgr: Image | None = None, fps: float = 25.0, epoch: int = 0) -> Frame:
    """Frame ``index`` of a stream of ``fps`` pictures a second."""
    return Frame(index, index / fps, ArrayPicture(scene() if bgr is None else bgr), epoch=epoch)


def face(x: float = 112, y: float = 72, side: float = FACE_PX) -> Face:
    """The face that ``scene`` draws at (x, y)."""
    return Face(Box(x, y, side, side))


def track(identity: int = 1, since_s: float = 0.0, now_s: float = 0.0, side: float = FACE_PX) -> Track:
    return Track(identity, Box(112, 72, side, side), since_s, now_s)


def pair(pts_s: float, crop: Image | None = None, identity: int = 1) -> Pair:
    """A pair that ends at ``pts_s``, of two equal crops."""
    crop = pattern(1, (64, 64)) if crop is None else crop
    return Pair(identity, pts_s, 0.04, crop, crop, Box(112, 72, FACE_PX, FACE_PX), FACE_PX)


def scores(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


class Faces:
    """A face detector that is told beforehand what it will find in each frame: ``found[frame.index]``."""

    name = "told"

    def __init__(self, found: Sequence[Sequence[Face]]) -> None:
        self.found = found

    def __call__(self, frame: Frame) -> list[Face]:
        return list(self.found[frame.index])
