"""The whole story, top to bottom: frames -> faces -> tracks -> pairs -> scores -> verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .faces import FaceDetector, find_faces
from .pairing import Pairer
from .records import Frame, Pair, Reason, Track, Verdict
from .repeats import Repeats as PictureRepeats
from .scoring import RATE_HZ, PairScorer, Scorer
from .scoring import Score as Score  # noqa: PLC0414 - also known by this name
from .tracking import Tracker
from .verdict import Window

PairScore = Callable[[Sequence[Pair]], NDArray[np.float32]]
"""Pairs -> P(fake) of each: ``stream.scoring.PairScorer``, which fuses by the contract and asks the model."""

Repeats = Callable[[Frame], Reason | None]
"""Whether the picture repeats itself: FROZEN, LOOPED or None."""


def pairs(
    frames: Iterable[Frame], faces: FaceDetector, tracker: Tracker, pairer: Pairer
) -> Iterator[tuple[Frame, list[Track], list[Pair]]]:
    """Each frame with its tracks and the pairs that it completes. Training data is made by this very function."""
    for frame in frames:
        tracks = tracker.update(frame, faces(frame))
        yield frame, tracks, pairer.update(frame, tracks)


def detect(
    frames: Iterable[Frame],
    faces: FaceDetector,
    tracker: Tracker,
    pairer: Pairer,
    score: PairScore,
    window: Window,
    repeats: Repeats = lambda frame: None,
) -> Iterator[tuple[Frame, list[Verdict]]]:
    """Each frame with the verdict of every face in it."""
    for frame, tracks, ready in pairs(frames, faces, tracker, pairer):
        yield frame, window.update(frame, tracks, ready, score(ready), repeats(frame))


def judge(
    frames: Iterable[Frame], model: Scorer, faces: FaceDetector | None = None, rate_hz: float | None = RATE_HZ
) -> Iterator[tuple[Frame, list[Verdict]]]:
    """``detect`` with everything that a source's frames need, made anew: what most programs want.

    faces: Haar by default. rate_hz: scored pairs a second of each face; None scores every pair.
    """
    contract = model.contract
    score, pairer = PairScorer(model, contract), Pairer(contract, rate_hz)
    return detect(frames, faces or find_faces(), Tracker(), pairer, score, Window(contract), PictureRepeats())
