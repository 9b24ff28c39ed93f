"""What flows through the pipeline: frozen records, checked where they are made.

Boxes and lengths are in pixels of the full frame, times in seconds of the source's own clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .pictures import Picture

Image = NDArray[np.uint8]
"""(H, W, 3) BGR or (H, W) gray, uint8."""


States = NDArray[np.float32]
"""(N, 2, M): what a recurrent network remembers of N faces, h and c of M numbers each."""


class Box(NamedTuple):
    """An upright rectangle; ``x, y`` is its upper left corner, which may lie outside the frame."""

    x: float
    y: float
    w: float
    h: float

    @property
    def center(self) -> tuple[float, float]:
        """Centre point ``(x, y)``."""
        return self.x + self.w / 2, self.y + self.h / 2

    @classmethod
    def square(cls, cx: float, cy: float, side: float) -> Box:
        """The square of ``side`` around ``(cx, cy)``."""
        return cls(cx - side / 2, cy - side / 2, side, side)

    def scaled(self, factor: float) -> Box:
        """The same rectangle in a picture that is ``factor`` times as large."""
        return Box(self.x * factor, self.y * factor, self.w * factor, self.h * factor)

    def overlap(self, other: Box) -> float:
        """Intersection over union, in [0, 1]."""
        w = min(self.x + self.w, other.x + other.w) - max(self.x, other.x)
        h = min(self.y + self.h, other.y + other.h) - max(self.y, other.y)
        if w <= 0 or h <= 0:
            return 0.0
        return w * h / (self.w * self.h + other.w * other.h - w * h)


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded picture and when it belongs.

    ``pts_s`` is the source's own, monotonic presentation time; ``arrived_s`` the ``time.monotonic``
    at which the decoder delivered it; ``dropped`` how many frames the source has thrown away so far.
    ``epoch`` changes when the source starts anew (reconnect, new size, jump in time): nothing may
    be paired or averaged across it. ``before`` is the frame that the source decoded just before, also where
    nobody took it: a machine that is too slow for every frame can still make pairs.
    """

    index: int
    pts_s: float
    picture: Picture
    arrived_s: float = 0.0
    dropped: int = 0
    epoch: int = 0
    before: Frame | None = None

    def __post_init__(self) -> None:
        if self.index < 0 or not np.isfinite(self.pts_s):
            raise ValueError(f"frame {self.index} at {self.pts_s} s: the index must not be negative, the time finite")

    def follows(self, before: Frame | None) -> bool:
        """Whether this frame goes on where ``before`` was: later, of the same epoch and the same size."""
        return (
            before is not None
            and self.epoch == before.epoch
            and self.pts_s > before.pts_s
            and self.picture.width == before.picture.width
            and self.picture.height == before.picture.height
        )


@dataclass(frozen=True, slots=True)
class Face:
    """A face in the canonical face box, whichever detector found it.

    ``landmarks`` is (5, 2) float32 (right eye, left eye, nose, right and left mouth corner, as seen
    in the picture from left to right) where the detector gives them.
    """

    box: Box
    score: float = 1.0
    landmarks: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if not (self.box.w > 0 and self.box.h > 0):
            raise ValueError(f"an empty face box: {self.box}")


@dataclass(frozen=True, slots=True)
class Track:
    """One face followed through time; ``box`` is smoothed, ``seen`` says whether this frame showed it."""

    id: int
    box: Box
    first_s: float
    last_s: float
    seen: bool = True


@dataclass(frozen=True, slots=True)
class Pair:
    """Two crops of one face, cut with one and the same box, ``gap_s`` apart.

    ``first`` and ``second`` are (S, S, 3) BGR uint8 of the same shape; ``pts_s`` is the time of
    ``second``; ``face_px`` the side of the canonical face box before scaling.
    """

    track: int
    pts_s: float
    gap_s: float
    first: Image
    second: Image
    box: Box
    face_px: float

    def __post_init__(self) -> None:
        for crop in (self.first, self.second):
            if crop.dtype != np.uint8 or crop.ndim != 3 or crop.shape != (*self.first.shape[:2], 3):
                raise ValueError(f"a pair needs two (S, S, 3) uint8 crops of one shape, not {crop.shape} {crop.dtype}")
        if self.gap_s <= 0:
            raise ValueError(f"a pair's gap must be positive, not {self.gap_s} s")


class State(StrEnum):
    """What flowtell says of a face."""

    REAL = "REAL"
    FAKE = "FAKE"
    UNSURE = "UNSURE"
    STALE = "STALE"


class Reason(StrEnum):
    """Why a face is UNSURE or STALE."""

    WARMING_UP = "warming up"
    UNDECIDED = "undecided"
    TOO_SMALL = "face too small"
    TOO_BLURRED = "too blurred"
    TOO_DARK = "too dark"
    FRAME_RATE = "frame rate too low"
    FEW_PAIRS = "too few pairs"
    FROZEN = "frozen picture"
    LOOPED = "looped picture"
    NO_FRAMES = "no frames"
    NO_FACE = "no face"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one face at one moment.

    ``p_fake`` is the mean P(fake) over the window, None without a pair in it; ``pairs`` the evidence in
    the window; ``pts_s`` the moment, in the source's time; ``age_s`` how much older the newest frame of
    that evidence is (of the face, before the first pair); ``history`` the window's means so far, one for
    each pair, oldest first, for the small curve.
    """

    track: int
    state: State
    reason: Reason | None
    p_fake: float | None
    pairs: int
    pts_s: float
    age_s: float
    box: Box
    history: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.p_fake is not None and not 0.0 <= self.p_fake <= 1.0:
            raise ValueError(f"P(fake) must lie in [0, 1], not {self.p_fake}")
        if (self.reason is None) != (self.state in (State.REAL, State.FAKE)):
            raise ValueError(f"{self.state} needs {'no ' if self.reason else 'a '}reason")
