"""Faces + time -> tracks with smoothed boxes: greedy matching by overlap, exponential smoothing in time.

A track ends where its box shows another face or scene, and whoever is found there next gets a new one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .cuts import Cuts, look
from .records import Box, Face, Frame, Track


@dataclass(slots=True)
class _State:
    id: int
    box: Box
    first_s: float
    last_s: float
    cuts: Cuts
    hits: int = 1


class Tracker:
    """Follows every face; one instance per source.

    min_overlap: intersection over union from which a face continues a track.
    max_age_s: how long a track outlives its face.
    min_hits: detections before a track is told, so that a false alarm of the detector is none of ours.
    center_tau_s, size_tau_s: time constants of the smoothing; the size of a face changes slower than its place.
    """

    def __init__(
        self,
        min_overlap: float = 0.3,
        max_age_s: float = 0.6,
        min_hits: int = 3,
        center_tau_s: float = 0.08,
        size_tau_s: float = 0.4,
    ) -> None:
        self._min_overlap = min_overlap
        self._max_age_s = max_age_s
        self._min_hits = min_hits
        self._center_tau_s = center_tau_s
        self._size_tau_s = size_tau_s
        self._states: list[_State] = []
        self._next_id = 1
        self._last: Frame | None = None

    def update(self, frame: Frame, faces: Sequence[Face]) -> list[Track]:
        """Continue the tracks with the faces found in ``frame``, in order of track id."""
        if not frame.follows(self._last):
            self.reset()
        self._last, now_s = frame, frame.pts_s
        self._states = [
            s
            for s in self._states
            if now_s - s.last_s <= self._max_age_s and not s.cuts.update(look(frame.picture, s.box))
        ]
        free = list(faces)
        candidates = sorted(
            ((s.box.overlap(f.box), s.id, i) for s in self._states for i, f in enumerate(free)), reverse=True
        )
        by_id, used = {s.id: s for s in self._states}, set[int]()
        for overlap, track, i in candidates:
            if overlap >= self._min_overlap and track in by_id and i not in used:
                self._follow(by_id.pop(track), free[i].box, now_s)
                used.add(i)
        for i, face in enumerate(free):
            if i not in used:
                cuts = Cuts(look(frame.picture, face.box))
                self._states.append(_State(self._next_id, face.box, now_s, now_s, cuts))
                self._next_id += 1
        return [
            Track(s.id, s.box, s.first_s, s.last_s, seen=s.last_s == now_s)
            for s in self._states
            if s.hits >= self._min_hits
        ]

    def reset(self) -> None:
        """Forget every face; ids go on, so that no two faces ever share one."""
        self._states.clear()
        self._last = None

    def _follow(self, state: _State, seen: Box, now_s: float) -> None:
        elapsed = now_s - state.last_s
        place, size = (1 - math.exp(-elapsed / tau) for tau in (self._center_tau_s, self._size_tau_s))
        (cx, cy), (sx, sy) = state.box.center, seen.center
        state.box = Box.square(
            cx + place * (sx - cx), cy + place * (sy - cy), state.box.w + size * (seen.w - state.box.w)
        )
        state.last_s = now_s
        state.hits += 1
