"""Frame -> faces: Haar alt2 (bundled with OpenCV 4) or YuNet, both brought to one canonical face box.

The canonical face box is the square around the centre of YuNet's box with the side of YuNet's height
(about forehead to chin). Haar's square was fitted to it on 468 photographs that both detectors found:
its centre lies 2.3 % of its side higher, and its side is 1/1.14 of the canonical one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from .errors import ModelError
from .pictures import Picture
from .records import Box, Face, Frame

_HAAR_SIDE = 1.14
_HAAR_DOWN = 0.023


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
        found = self._cascade.detectMultiScale(gray, scaleFactor=1.15, minNeighbors=4, minSize=(least, least))
        return [
            Face(Box.square(x + w / 2, y + w / 2 + _HAAR_DOWN * w, _HAAR_SIDE * w).scaled(factor))
            for x, y, w, _ in np.asarray(found, float).reshape(-1, 4)
        ]


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
        factor = max(1.0, max(picture.width, picture.height) / self._long_side)
        small = picture.bgr()
        if factor > 1:
            small = np.asarray(
                cv2.resize(small, (round(picture.width / factor), round(picture.height / factor))), np.uint8
            )
        self._net.setInputSize((small.shape[1], small.shape[0]))
        found = self._net.detect(small)[1]
        faces = []
        for row in np.zeros((0, 15), np.float32) if found is None else np.asarray(found, np.float32):
            x, y, w, h = (float(v) for v in row[:4])
            if w > 0 and h > 0:
                box = Box.square(x + w / 2, y + h / 2, h).scaled(factor)
                faces.append(Face(box, float(row[14]), row[4:14].reshape(5, 2) * np.float32(factor)))
        return faces
