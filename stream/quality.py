"""How good is the view of a face? Numbers that say when a score would be a guess.

On 148 real and fake clips of 7 to 50 frames a second every face passes the limits that ``Limits`` sets; blurred
with a deviation of 4 % of the face's side, or darkened below 40 levels, none does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from .records import Image

_SIDE = 64  # the face is measured at this size, so that a large face and a small one are measured alike
_REBLUR = 1.0
_STRONG = 0.9


@dataclass(frozen=True, slots=True)
class Quality:
    """``blur``: deviation of the blur at the face's edges, as a share of the face's side; a face of 64 pixels
    and more that is in focus has about 0.015. ``light``: luma that a tenth of the face exceeds, in 0..255;
    the brightest part, so that a dark skin in good light is no dark picture.
    """

    blur: float
    light: float


def quality(crop: Image, margin: float) -> Quality:
    """Measure the face in an (S, S, 3) BGR crop that shows ``margin`` (a share of the face) around it.

    Blur: the edges' gradients against those of the picture blurred once more (Zhuo and Sim, Defocus map
    estimation from a single image, 2011); their ratio R gives sigma = 1 / sqrt(R^2 - 1).
    """
    edge = round(crop.shape[0] * margin / (1 + 2 * margin))
    gray = cv2.cvtColor(crop[edge : crop.shape[0] - edge, edge : crop.shape[1] - edge], cv2.COLOR_BGR2GRAY)
    how = cv2.INTER_AREA if gray.shape[0] > _SIDE else cv2.INTER_LINEAR  # enlarging by area draws steps
    face = np.asarray(cv2.resize(gray, (_SIDE, _SIDE), interpolation=how), np.float32)
    steep, less_steep = _gradient(face), _gradient(cv2.GaussianBlur(face, (0, 0), _REBLUR))
    edges = steep >= _rank(steep, _STRONG)
    ratio = _rank(np.asarray(steep[edges] / np.maximum(less_steep[edges], 1e-3), np.float32), 0.5)
    blur = _REBLUR / np.sqrt(max(ratio * ratio - 1, 1e-4)) / _SIDE
    return Quality(float(blur), _rank(face, _STRONG))


def _gradient(gray: cv2.typing.MatLike) -> NDArray[np.float32]:
    across, down = cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)
    return cast("NDArray[np.float32]", cv2.magnitude(across, down))


def _rank(values: NDArray[np.float32], share: float) -> float:
    """The value that ``share`` of all lie below; a third of np.quantile's time."""
    flat = values.ravel()
    place = int(share * (flat.size - 1))
    return float(np.partition(flat, place)[place])
