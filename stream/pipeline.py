"""The whole story, top to bottom: frames -> faces -> tracks -> pairs -> scores -> verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .contract import Contract
from .faces import FaceDetector
from .fusion import fuse
from .pairing import Pairer
from .records import Frame, Image, Pair, Reason, Track, Verdict
from .tracking import Tracker
from .verdict import Window

Score = Callable[[Sequence[Image]], NDArray[np.float32]]
"""Network inputs -> P(fake) of each."""

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
    model: Score,
    contract: Contract,
    window: Window,
    repeats: Repeats = lambda frame: None,
) -> Iterator[tuple[Frame, list[Verdict]]]:
    """Each frame with the verdict of every face in it."""
    for frame, tracks, ready in pairs(frames, faces, tracker, pairer):
        scores = model([fuse(pair, contract) for pair in ready])
        yield frame, window.update(frame, tracks, ready, scores, repeats(frame))
