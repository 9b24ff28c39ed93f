"""Scores -> verdicts: a sliding window over each face's pairs, hysteresis and the reasons for UNSURE.

No clock: every time is an argument, so that a replayed file gives the same verdicts as the live stream.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .contract import Contract, Thresholds
from .records import Box, Pair, Reason, State, Track, Verdict


def decide(p_fake: float, thresholds: Thresholds, before: State = State.UNSURE) -> State:
    """REAL, FAKE or UNSURE for a mean P(fake), given what was said before (hysteresis)."""
    if p_fake >= (thresholds.fake_leave if before is State.FAKE else thresholds.fake_enter):
        return State.FAKE
    if p_fake <= (thresholds.real_leave if before is State.REAL else thresholds.real_enter):
        return State.REAL
    return State.UNSURE


@dataclass(slots=True)
class _Evidence:
    scores: deque[tuple[float, float]] = field(default_factory=deque)  # (pts_s, P(fake))
    history: deque[float] = field(default_factory=lambda: deque(maxlen=120))
    state: State = State.UNSURE
    last_pair_s: float | None = None
    face_px: float = 0.0


class Window:
    """Keeps a verdict for every face; one instance per source.

    window_s and min_pairs default to the contract's; min_face_px is the smallest face that is judged.
    """

    def __init__(
        self,
        contract: Contract,
        window_s: float | None = None,
        min_pairs: int | None = None,
        min_face_px: float = 48.0,
    ) -> None:
        self._contract = contract
        self._window_s = window_s or contract.window_s
        self._min_pairs = min_pairs or contract.min_pairs
        self._min_face_px = min_face_px
        self._faces: dict[int, _Evidence] = {}
        self._last_frame_s: float | None = None

    def update(
        self, tracks: Sequence[Track], pairs: Sequence[Pair], scores: NDArray[np.float32], now_s: float
    ) -> list[Verdict]:
        """The verdict of every track at ``now_s``, after taking in the pairs just scored."""
        gap_s = None if self._last_frame_s is None else now_s - self._last_frame_s
        self._last_frame_s = now_s
        self._faces = {t.id: self._faces.get(t.id) or _Evidence() for t in tracks}
        for pair, score in zip(pairs, scores, strict=True):
            evidence = self._faces[pair.track]
            evidence.scores.append((pair.pts_s, float(score)))
            evidence.last_pair_s = pair.pts_s
        return [self._verdict(track, now_s, gap_s) for track in tracks]

    def reset(self) -> None:
        """Forget all evidence: the source started anew, or the user asked for it."""
        self._faces.clear()
        self._last_frame_s = None

    def _verdict(self, track: Track, now_s: float, gap_s: float | None) -> Verdict:
        evidence = self._faces[track.id]
        while evidence.scores and now_s - evidence.scores[0][0] > self._window_s:
            evidence.scores.popleft()
        count = len(evidence.scores)
        p_fake = sum(p for _, p in evidence.scores) / count if count else None
        if p_fake is not None:
            evidence.history.append(p_fake)
        reason = self._reason(track.box, count, gap_s)
        if reason is None and p_fake is not None:
            evidence.state = decide(p_fake, self._contract.thresholds, evidence.state)
            reason = Reason.UNDECIDED if evidence.state is State.UNSURE else None
        else:
            evidence.state = State.UNSURE
        rests_on = track.first_s if evidence.last_pair_s is None else evidence.last_pair_s
        return Verdict(
            track.id, evidence.state, reason, p_fake, count, now_s, now_s - rests_on, track.box, tuple(evidence.history)
        )

    def _reason(self, box: Box, pairs: int, gap_s: float | None) -> Reason | None:
        """Why nothing can be said yet, or None."""
        if box.w < self._min_face_px:
            return Reason.TOO_SMALL
        if gap_s is not None and gap_s > self._contract.gap_max_s:
            return Reason.FRAME_RATE
        return Reason.WARMING_UP if pairs < self._min_pairs else None
