"""Faces between detections: detect seldom, follow cheaply, look again where it matters.

A detector costs 10 to 30 ms a picture, following a face 0.3 ms. So the whole picture is searched now and
then, each known face is looked for again in its own neighbourhood, and in between its box moves with the
median of the sparse flow inside it (Kalal, Mikolajczyk and Matas, Forward-Backward Error: Automatic
Detection of Tracking Failures, 2010; flow by Lucas and Kanade in pyramids, Bouguet 2000).
No clock: everything is decided by the frames' own times, so that training sees what the live stream sees.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from .pictures import Picture
from .records import Box, Face, Frame

Gray = NDArray[np.uint8]
_GRID = np.stack(np.meshgrid(*[np.linspace(-0.33, 0.33, 4)] * 2), axis=-1).reshape(-1, 2)  # (16, 2) in boxes
_ONE, _OTHER = np.triu_indices(len(_GRID), 1)
_FOLLOW_PX = 80  # larger faces are followed in a smaller picture
_PATCH = 24  # pixels; side of the small picture of a face that tells whether the box still shows it


@runtime_checkable
class Finder(Protocol):
    """A face detector that can also look for one face near where it was."""

    name: str

    def __call__(self, frame: Frame) -> list[Face]:
        """The faces of one frame."""

    def near(self, picture: Picture, box: Box) -> Face | None:
        """The face about the size of ``box`` in its neighbourhood, or None."""


@dataclass(frozen=True, slots=True)
class Cadence:
    """When the detector runs, in seconds of the stream's time.

    ``search_s`` and ``idle_s``: between searches of the whole picture while faces are known, and while none
    is or one was just lost; ``check_s`` and ``doubt_s``: between looks at a known face while it is sure, and
    while the detector did not find it last time; ``give_up_s``: how long it may go unfound;
    ``gap_s``: across a longer gap no flow is trusted, and each known face is looked for; ``forget_s``: across
    this one the picture is searched whole; ``confirm``: detections that make a face sure.
    """

    search_s: float = 2.0
    idle_s: float = 0.25
    check_s: float = 0.5
    doubt_s: float = 0.12
    give_up_s: float = 1.0
    gap_s: float = 0.15
    forget_s: float = 1.0
    confirm: int = 3


@dataclass(slots=True)
class _Known:
    face: Face
    patch: Gray
    found_s: float  # when the detector last found it
    looked_s: float  # when the detector last looked
    found: int = 1


@dataclass(slots=True)
class _Before:
    gray: Gray
    size: tuple[int, int]
    epoch: int
    pts_s: float
    searched_s: float
    known: list[_Known] = field(default_factory=list)


class Follower:
    """The faces of every frame at the cost of a few; itself a face detector. One instance per source.

    detector: finds faces in whole pictures and near a box. cadence: when it runs.
    long_side: faces are followed in every n-th pixel, so that the picture is at most this long.
    """

    def __init__(self, detector: Finder, cadence: Cadence | None = None, long_side: int = 400) -> None:
        self.name = detector.name
        self._detector = detector
        self._cadence = cadence or Cadence()
        self._long_side = long_side
        self._before: _Before | None = None

    def __call__(self, frame: Frame) -> list[Face]:
        """The faces of one frame, each in the canonical box; those not yet sure only where the detector saw them."""
        picture = frame.picture
        gray = picture.samples(0, 0, picture.width, picture.height, self._long_side)
        factor = float(-(-max(picture.width, picture.height) // self._long_side))
        before, now_s = self._before, frame.pts_s
        size = (frame.picture.width, frame.picture.height)
        if (
            before is None
            or (before.epoch, before.size) != (frame.epoch, size)
            or not 0 < now_s - before.pts_s <= self._cadence.forget_s
        ):
            return self._search(frame, gray, factor, [], now_s)
        old = before.gray if now_s - before.pts_s <= self._cadence.gap_s else None
        seen = [(known, self._see(known, old, gray, frame, factor)) for known in before.known]
        kept: list[_Known] = []
        shown: list[Face] = []
        for known, look in seen:
            # Two boxes that have slid onto one face are one: the older stays.
            if look is not None and all(k.face.box.overlap(known.face.box) < 0.5 for k in kept):
                kept.append(known)
                shown.extend([known.face] if look else [])
        calm = bool(kept) and len(shown) == len(before.known)
        if now_s - before.searched_s >= (self._cadence.search_s if calm else self._cadence.idle_s):
            return self._search(frame, gray, factor, kept, now_s, shown)
        self._before = _Before(gray, size, frame.epoch, now_s, before.searched_s, kept)
        return shown

    def near(self, picture: Picture, box: Box) -> Face | None:
        """The face about the size of ``box`` in its neighbourhood, or None; changes nothing that is followed."""
        return self._detector.near(picture, box)

    def reset(self) -> None:
        """Forget every face: the next frame is searched whole."""
        self._before = None

    def _search(
        self,
        frame: Frame,
        gray: Gray,
        factor: float,
        known: list[_Known],
        now_s: float,
        shown: list[Face] | None = None,
    ) -> list[Face]:
        """Search the whole picture, and take up the faces that are new in it."""
        shown = shown or []
        for face in self._detector(frame):
            if all(k.face.box.overlap(face.box) < 0.3 for k in known):
                known.append(_Known(face, _patch(gray, face.box.scaled(1 / factor)), now_s, now_s))
                shown.append(face)
        size = (frame.picture.width, frame.picture.height)
        self._before = _Before(gray, size, frame.epoch, now_s, now_s, known)
        return shown

    def _see(self, known: _Known, old: Gray | None, new: Gray, frame: Frame, factor: float) -> bool | None:
        """Move a known face to this frame: True where it shows, False where it may, None when it is lost."""
        cadence, now_s = self._cadence, frame.pts_s
        moved = None if old is None else follow(old, new, known.face.box.scaled(1 / factor))
        if moved is not None and _likeness(known.patch, _patch(new, moved)) < 0.5:
            moved = None
        if moved is not None:
            known.face = Face(moved.scaled(factor), known.face.score)
        sure, doubtful = known.found >= cadence.confirm, known.found_s < known.looked_s
        wait_s = cadence.doubt_s if doubtful else cadence.check_s
        if sure and (moved is not None or (doubtful and old is not None)) and now_s - known.looked_s < wait_s:
            return moved is not None
        known.looked_s = now_s
        found = self._detector.near(frame.picture, known.face.box)
        if found is None:
            expired = now_s - known.found_s > (cadence.give_up_s if sure else cadence.idle_s)
            return None if expired else sure and moved is not None
        known.found += 1
        known.found_s = now_s
        # One detection jitters by 5 % of the face; the mean of some, carried along by the flow, does not.
        weight = max(1 / known.found, 0.3) if moved is not None else 1.0
        known.face = Face(_between(known.face.box, found.box, weight), found.score, found.landmarks)
        known.patch = _patch(new, known.face.box.scaled(1 / factor))
        return True


def follow(old: Gray, new: Gray, box: Box) -> Box | None:
    """Where the square ``box`` of one gray picture lies in the next, or None where the flow does not tell.

    Median displacement of a grid of points, and the median change of their distances, over those points
    whose flow forward and back again ends within a pixel of where it began (Kalal et al., 2010).
    """
    reach = box.w * 0.4
    x0, y0 = max(0, int(box.x - reach)), max(0, int(box.y - reach))
    x1, y1 = min(new.shape[1], int(box.x + box.w + reach) + 1), min(new.shape[0], int(box.y + box.h + reach) + 1)
    if x1 - x0 < _PATCH or y1 - y0 < _PATCH:
        return None
    shrink = max(1, round(box.w / _FOLLOW_PX))
    size = ((x1 - x0) // shrink, (y1 - y0) // shrink)
    first, second = (_smaller(g[y0:y1, x0:x1], size) for g in (old, new))
    start = ((np.array(box.center) - (x0, y0) + _GRID * box.w) / shrink).astype(np.float32)  # (16, 2)
    ends, there, _ = cv2.calcOpticalFlowPyrLK(first, second, start, start.copy(), None, None, (9, 9), 2)
    back, here, _ = cv2.calcOpticalFlowPyrLK(second, first, ends, start.copy(), None, None, (9, 9), 2)
    good = (there[:, 0] > 0) & (here[:, 0] > 0) & (np.abs(back - start).max(axis=1) < 1.0)
    if np.count_nonzero(good) < len(_GRID) // 2:
        return None
    dx, dy = (_median(v) * shrink for v in (ends - start)[good].T)
    pairs = good[_ONE] & good[_OTHER]
    before, after = (np.hypot(*(p[_ONE] - p[_OTHER])[pairs].T) for p in (start, ends))
    growth = min(max(_median(after / before), 0.9), 1.1)
    cx, cy = box.center
    return Box.square(cx + dx, cy + dy, box.w * growth)


def _smaller(gray: Gray, size: tuple[int, int]) -> Gray:
    if gray.shape == size[::-1]:
        return gray
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)


def _median(values: NDArray[np.float32]) -> float:
    """The upper median; a third of np.median's time on arrays this short."""
    return float(np.partition(values, len(values) // 2)[len(values) // 2])


def _patch(gray: Gray, box: Box) -> Gray:
    """The face in ``box``, (24, 24); what lies outside the picture is left out."""
    x0, y0 = min(max(0, round(box.x)), gray.shape[1] - 2), min(max(0, round(box.y)), gray.shape[0] - 2)
    x1, y1 = max(x0 + 2, round(box.x + box.w)), max(y0 + 2, round(box.y + box.h))
    return np.asarray(cv2.resize(gray[y0:y1, x0:x1], (_PATCH, _PATCH), interpolation=cv2.INTER_LINEAR), np.uint8)


def _likeness(one: Gray, other: Gray) -> float:
    """Normalised correlation of two patches, in [-1, 1]."""
    return float(cv2.matchTemplate(one, other, cv2.TM_CCOEFF_NORMED)[0, 0])


def _between(box: Box, other: Box, weight: float) -> Box:
    (cx, cy), (ox, oy) = box.center, other.center
    return Box.square(cx + weight * (ox - cx), cy + weight * (oy - cy), box.w + weight * (other.w - box.w))
