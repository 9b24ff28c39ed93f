"""What a clip's size, frame rate, sharpness and bit rate alone tell of its label: the baseline of every figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.sources import read_file
from train.metrics import Flags, Scores


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of a clip without looking at the face.

    Pixels, frames a second, median variance of the Laplacian of the luma at full size, and bits a pixel.
    """

    width: int
    height: int
    rate_hz: float
    sharpness: float
    bits_per_pixel: float


def metadata(path: Path) -> Metadata:
    """Read a clip for its metadata; sharpness is measured twice a second.

    Raises:
        SourceNotFound, SourceBroken: as ``stream.sources.read_file``.
    """
    times, sharpness, size = list[float](), list[float](), (0, 0)
    for frame in read_file(path):
        if not times or frame.pts_s >= times[0] + 0.5 * len(sharpness):
            size = (frame.picture.width, frame.picture.height)
            sharpness.append(float(cv2.Laplacian(frame.picture.gray(max(size))[0], cv2.CV_64F).var()))
        times.append(frame.pts_s)
    if not times:
        return Metadata(0, 0, 0.0, 0.0, 0.0)
    gap_s = float(np.median([b - a for a, b in pairwise(times)])) if len(times) > 1 else 0.04
    bits = 8 * path.stat().st_size / (len(times) * size[0] * size[1])
    return Metadata(*size, 1 / gap_s, float(np.median(sharpness)), bits)


def metadata_scores(
    rows: Sequence[Metadata], fake: Flags, group: NDArray[np.int64], folds: int = 5, seed: int = 0
) -> Scores:
    """P(fake) of each clip, (N,), from a random forest on metadata that never saw the clip's people.

    ``group`` keeps people together (``train.metrics.groups``). All NaN where there are too few people to
    cross-validate (fewer than two with each label).
    """
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415  (seconds of import for those who never ask)
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415

    scores = np.full(len(rows), np.nan)
    folds = min(folds, *(len(np.unique(group[fake == label])) for label in (False, True)))
    if folds < 2:
        return scores
    table = np.array([astuple(row) for row in rows], float)
    splits = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for known, asked in splits.split(table, fake, group):
        if fake[known].all() or not fake[known].any():
            continue
        forest = RandomForestClassifier(300, min_samples_leaf=2, class_weight="balanced", random_state=seed)
        scores[asked] = forest.fit(table[known], fake[known]).predict_proba(table[asked])[:, 1]
    return scores
