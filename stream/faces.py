"""Frame -> faces: Haar alt2 (bundled with OpenCV 4) or YuNet, both brought to one canonical face box.

The canonical face box is the square around the centre of YuNet's box with the side of YuNet's height
(about forehead to chin). Haar's square was fitted to it on 468 photographs that both detectors found:
its centre lies 2.3 % of its side higher, and its side is 1/1.14 of the canonical one.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import ModelError
from .follow import Follower
from .pictures import Picture
from .records import Box, Face, Frame, Image

_HAAR_SIDE = 1.14
_HAAR_DOWN = 0.023
_NEAR_PX = 80  # a known face is looked for again at this size: smaller is less sure, larger only costs


class _Region(NamedTuple):
    x: int
    y: int
    w: int
    h: int


class FaceDetector(Protocol):
    """Whatever finds the faces of a frame; ``name`` is shown to the user."""

    name: str

    def __call__(self, frame: Frame) -> list[Face]:
        """The faces of one frame, each in the canonical box, in pixels of the full frame."""


class HaarFaces:
    """Viola and Jones's cascade (Rapid Object Detection using a Boosted Cascade, 2001), frontal faces, alt2.

    long_side: the picture is searched at no more than this length.
    min_share: the smallest face that is looked for, as a share of the searched picture's short side.
    """

    name = "haar"

    def __init__(self, long_side: int = 400, min_share: float = 0.12) -> None:
        self._long_side = long_side
        self._min_share = min_share
        self._cascade = cv2.CascadeClassifier(
            str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml")
        )
        if self._cascade.empty():
            raise ModelError("OpenCV carries no Haar cascade here: install opencv-python<5")

    def __call__(self, frame: Frame) -> list[Face]:
        return self.find(frame.picture)

    def find(self, picture: Picture) -> list[Face]:
        """The faces of one picture."""
        gray, factor = picture.gray(self._long_side)
        least = max(20, round(min(gray.shape) * self._min_share))
        found = self._cascade.detectMultiScale(gray, scaleFactor=1.2, minNeighbors=3, minSize=(least, least))
        return [_from_haar(hit, factor) for hit in np.asarray(found, float).reshape(-1, 4)]

    def near(self, picture: Picture, box: Box) -> Face | None:
        """The face about the size of ``box`` in its neighbourhood, or None; a tenth of a search's cost."""
        gray, factor = picture.gray(self._long_side)
        region = _around(box.scaled(1 / factor), gray.shape[1], gray.shape[0])
        part = gray[region.y : region.y + region.h, region.x : region.x + region.w]
        shrink = max(1.0, box.w / factor / _NEAR_PX)
        if shrink > 1:
            size = (max(1, round(region.w / shrink)), max(1, round(region.h / shrink)))
            part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
        side = box.w / factor / shrink / _HAAR_SIDE
        least, most = round(side * 0.75), round(side * 1.33)
        found = self._cascade.detectMultiScale(
            part, scaleFactor=1.1, minNeighbors=3, minSize=(least, least), maxSize=(most, most)
        )
        hits = [_from_haar(hit, shrink) for hit in np.asarray(found, float).reshape(-1, 4)]
        return _nearest([_moved(f, region.x, region.y, factor) for f in hits], box)


class YunetFaces:
    """YuNet (Wu, Peng and Yu, A Tiny Millisecond-level Face Detector, 2023) through ``cv2.FaceDetectorYN``.

    file: its ONNX file. long_side: as for Haar. min_score: the least confidence, in [0, 1].

    Raises:
        ModelError: the file is missing or not YuNet.
    """

    name = "yunet"

    def __init__(self, file: Path, long_side: int = 400, min_score: float = 0.7) -> None:
        self._long_side = long_side
        if not file.is_file():
            raise ModelError(f"no face model at {file}: run 'flowtell models pull yunet', or leave --face-model out")
        try:
            self._net = cv2.FaceDetectorYN.create(str(file), "", (320, 320), min_score)
        except cv2.error as error:
            raise ModelError(f"{file} is not a YuNet face model: run 'flowtell models pull yunet'") from error

    def __call__(self, frame: Frame) -> list[Face]:
        return self.find(frame.picture)

    def find(self, picture: Picture) -> list[Face]:
        """The faces of one picture, with their five landmarks."""
        return self._detect(picture.bgr(), self._long_side)

    def near(self, picture: Picture, box: Box) -> Face | None:
        """The face about the size of ``box`` in its neighbourhood, or None; only that part is converted to colour."""
        region = _around(box, picture.width, picture.height)
        found = self._detect(picture.crop(*region), 2 * _NEAR_PX)
        return _nearest([_moved(f, region.x, region.y, 1.0) for f in found], box)

    def _detect(self, bgr: Image, long_side: int) -> list[Face]:
        height, width = bgr.shape[:2]
        factor = max(1.0, max(width, height) / long_side)
        small = bgr
        if factor > 1:
            small = np.asarray(cv2.resize(bgr, (round(width / factor), round(height / factor))), np.uint8)
        self._net.setInputSize((small.shape[1], small.shape[0]))
        found = self._net.detect(small)[1]
        faces = []
        for row in np.zeros((0, 15), np.float32) if found is None else np.asarray(found, np.float32):
            x, y, w, h = (float(v) for v in row[:4])
            if w > 0 and h > 0:
                box = Box.square(x + w / 2, y + h / 2, h).scaled(factor)
                faces.append(Face(box, float(row[14]), row[4:14].reshape(5, 2) * np.float32(factor)))
        return faces


def find_faces(face_model: Path | None = None, every_frame: bool = False) -> FaceDetector:
    """The face finder of one source, live, checked or prepared for training alike: Haar, or YuNet from its file.

    every_frame: search every frame whole instead of following the faces between searches.

    Raises:
        ModelError: ``face_model`` is missing or not YuNet.
    """
    detector = HaarFaces() if face_model is None else YunetFaces(face_model)
    return detector if every_frame else Follower(detector)


def _from_haar(hit: NDArray[np.float64], factor: float) -> Face:
    """Haar's square (x, y, w, w) as the canonical face box of a picture ``factor`` times as large."""
    x, y, w, _ = (float(v) for v in hit)
    return Face(Box.square(x + w / 2, y + w / 2 + _HAAR_DOWN * w, _HAAR_SIDE * w).scaled(factor))


def _around(box: Box, width: int, height: int) -> _Region:
    """The part of a picture of ``width`` x ``height`` within half a face of ``box``, at least one pixel."""
    reach = box.w * 0.5
    x0, y0 = min(max(0, int(box.x - reach)), width - 1), min(max(0, int(box.y - reach)), height - 1)
    x1, y1 = min(width, int(box.x + box.w + reach) + 1), min(height, int(box.y + box.h + reach) + 1)
    return _Region(x0, y0, max(1, x1 - x0), max(1, y1 - y0))


def _moved(face: Face, x: int, y: int, factor: float) -> Face:
    """A face found in a region at (x, y), in a picture ``factor`` times as large."""
    box = Box(face.box.x + x, face.box.y + y, face.box.w, face.box.h).scaled(factor)
    marks = None if face.landmarks is None else (face.landmarks + np.array([x, y], np.float32)) * np.float32(factor)
    return Face(box, face.score, marks)


def _nearest(faces: list[Face], box: Box) -> Face | None:
    """The face that overlaps ``box`` most, by at least 0.3."""
    best = max(faces, key=lambda f: f.box.overlap(box), default=None)
    return best if best is not None and best.box.overlap(box) >= 0.3 else None
