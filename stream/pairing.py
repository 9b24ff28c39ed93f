"""The frames of a track -> pairs of crops, by time: both cut with one and the same smoothed box."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np

from .contract import Contract
from .pictures import Picture
from .records import Box, Frame, Image, Pair, Track


def cut(picture: Picture, box: Box, margin: float, size: int) -> Image:
    """The square around a canonical face box with ``margin`` (a share of the box) on each side, (size, size, 3) BGR."""
    cx, cy = box.center
    side = max(2, round(box.w * (1 + 2 * margin)))
    region = picture.crop(round(cx - side / 2), round(cy - side / 2), side, side)
    if side == size:
        return np.ascontiguousarray(region)
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(region, (size, size), interpolation=how), np.uint8)


class Pairer:
    """Makes pairs whose gap is nearest the contract's nominal one; one instance per source.

    ``rate_hz`` limits how many pairs a second a face gets, evenly spread; None makes every pair.
    """

    def __init__(self, contract: Contract, rate_hz: float | None = None) -> None:
        self._contract = contract
        self._every_s = 1 / rate_hz if rate_hz else 0.0
        self._recent: deque[Frame] = deque()
        self._due_s: dict[int, float] = {}

    def update(self, frame: Frame, tracks: Sequence[Track]) -> list[Pair]:
        """The pairs that this frame completes: at most one for each face that it shows."""
        if self._recent and not frame.follows(self._recent[-1]):
            self.reset()
        before = frame.before
        if before and frame.follows(before) and (not self._recent or before.pts_s > self._recent[-1].pts_s):
            self._recent.append(before)
        contract, now_s = self._contract, frame.pts_s
        while self._recent and now_s - self._recent[0].pts_s > contract.gap_max_s:
            self._recent.popleft()
        self._due_s = {t.id: self._due_s[t.id] for t in tracks if t.id in self._due_s}
        partner = min(
            (f for f in self._recent if now_s - f.pts_s >= contract.gap_min_s),
            key=lambda f: abs(now_s - f.pts_s - contract.gap_s),
            default=None,
        )
        self._recent.append(frame)
        if partner is None:
            return []
        # Half a frame early is nearer the plan than half a frame late.
        slack_s = (now_s - partner.pts_s) / 2
        pairs = []
        for track in tracks:
            # A track younger than the partner has not shown that its box fits there.
            due_s = self._due_s.get(track.id, now_s)
            if not track.seen or track.first_s > partner.pts_s or now_s + slack_s < due_s:
                continue
            first, second = (cut(f.picture, track.box, contract.margin, contract.size) for f in (partner, frame))
            pairs.append(Pair(track.id, now_s, now_s - partner.pts_s, first, second, track.box, track.box.w))
            due_s += self._every_s
            # What a stall has cost is not made up for.
            self._due_s[track.id] = due_s if due_s > now_s - slack_s else now_s + self._every_s
        return pairs

    def reset(self) -> None:
        """Forget the recent frames: what comes next is another scene."""
        self._recent.clear()
        self._due_s.clear()
