"""Scores -> verdicts: a sliding window over each face's pairs, hysteresis and the reasons for UNSURE.

No clock: every time is an argument, so that a replayed file gives the same verdicts as the live stream.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median, mode

import numpy as np
from numpy.typing import NDArray

from .contract import Contract, Thresholds
from .quality import quality
from .records import Frame, Pair, Reason, State, Track, Verdict

_GAPS = 8  # frame gaps that the frame rate is judged by: one late frame is no slow camera


def decide(p_fake: float, thresholds: Thresholds, before: State = State.UNSURE) -> State:
    """REAL, FAKE or UNSURE for a mean P(fake), given what was said before (hysteresis)."""
    if p_fake >= (thresholds.fake_leave if before is State.FAKE else thresholds.fake_enter):
        return State.FAKE
    if p_fake <= (thresholds.real_leave if before is State.REAL else thresholds.real_enter):
        return State.REAL
    return State.UNSURE


@dataclass(frozen=True, slots=True)
class Limits:
    """What a verdict may rest on.

    ``min_face_px``: the smallest side of a canonical face box that is judged; ``max_blur`` and ``min_light``: of
    its crops, as ``quality.Quality`` measures them; ``flaw_s``: a face is too blurred or too dark when most of its
    pairs in the last so many seconds were; ``stale_s``: how old the newest evidence may grow before REAL or FAKE
    is taken back, and how long frames may fail before a face is STALE.
    """

    min_face_px: float = 48.0
    max_blur: float = 0.03
    min_light: float = 40.0
    flaw_s: float = 1.0
    stale_s: float = 0.8


def flaw(pair: Pair, margin: float, limits: Limits) -> Reason | None:
    """Why a pair's crops show too little to be evidence: TOO_DARK, TOO_BLURRED or None. margin: the contract's."""
    seen = quality(pair.second, margin)
    if seen.light < limits.min_light:
        return Reason.TOO_DARK
    return Reason.TOO_BLURRED if seen.blur > limits.max_blur else None


@dataclass(slots=True)
class _Evidence:
    since_s: float
    scores: deque[tuple[float, float]] = field(default_factory=deque)  # (pts_s, P(fake))
    flaws: deque[tuple[float, Reason | None]] = field(default_factory=deque)  # what was wrong with each pair
    history: deque[float] = field(default_factory=lambda: deque(maxlen=120))
    state: State = State.UNSURE
    last_pair_s: float | None = None


class Window:
    """Keeps a verdict for every face; one instance per source.

    window_s and min_pairs default to the contract's.
    """

    def __init__(
        self,
        contract: Contract,
        window_s: float | None = None,
        min_pairs: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._contract = contract
        self._window_s = contract.window_s if window_s is None else window_s
        self._min_pairs = contract.min_pairs if min_pairs is None else min_pairs
        self._limits = limits or Limits()
        self._faces: dict[int, _Evidence] = {}
        self._gaps_s: deque[float] = deque(maxlen=_GAPS)
        self._last: Frame | None = None
        self._told: list[Verdict] = []

    def update(
        self,
        frame: Frame,
        tracks: Sequence[Track],
        pairs: Sequence[Pair],
        scores: NDArray[np.float32],
        repeats: Reason | None = None,
    ) -> list[Verdict]:
        """The verdict of every track in ``frame``, after taking in the pairs just scored.

        ``repeats`` says that the picture is frozen or looped: then nothing that it shows is evidence.
        """
        if not frame.follows(self._last):
            self.reset()
        elif self._last:
            # What the source delivers counts, not what this machine had time for.
            before = frame.before if frame.follows(frame.before) else self._last
            self._gaps_s.append(frame.pts_s - (before or self._last).pts_s)
        self._last = frame
        known = {} if repeats else self._faces
        self._faces = {t.id: known.get(t.id) or _Evidence(frame.pts_s) for t in tracks}
        for pair, score in zip(pairs, scores, strict=True):
            if not repeats:
                self._take(self._faces[pair.track], pair, float(score))
        self._told = [self._verdict(track, frame.pts_s, repeats) for track in tracks]
        return self._told

    def idle(self, now_s: float) -> list[Verdict]:
        """What can still be said at ``now_s`` although no frame came; may be called from another thread.

        ``now_s`` is in the source's time: the last frame's ``pts_s`` plus the time since it arrived.
        Every face is STALE once the last frame is older than ``Limits.stale_s``.
        """
        return [self._aged(verdict, now_s) for verdict in self._told]

    def reset(self) -> None:
        """Forget all evidence: the source started anew, or the user asked for it."""
        self._faces = {}
        self._gaps_s.clear()
        self._last = None
        self._told = []

    def _take(self, evidence: _Evidence, pair: Pair, p_fake: float) -> None:
        """A good pair is evidence; of any other only its flaw is kept."""
        wrong = flaw(pair, self._contract.margin, self._limits)
        evidence.flaws.append((pair.pts_s, wrong))
        if wrong:
            return
        evidence.last_pair_s = pair.pts_s
        evidence.scores.append((pair.pts_s, p_fake))
        self._forget(evidence, pair.pts_s)
        evidence.history.append(_mean(evidence))

    def _forget(self, evidence: _Evidence, now_s: float) -> None:
        while evidence.flaws and now_s - evidence.flaws[0][0] > self._limits.flaw_s:
            evidence.flaws.popleft()
        while evidence.scores and now_s - evidence.scores[0][0] > self._window_s:
            evidence.scores.popleft()

    def _verdict(self, track: Track, now_s: float, repeats: Reason | None) -> Verdict:
        evidence = self._faces[track.id]
        self._forget(evidence, now_s)
        count = len(evidence.scores)
        p_fake = _mean(evidence) if count else None
        age_s = now_s - (track.last_s if evidence.last_pair_s is None else evidence.last_pair_s)
        young = now_s - evidence.since_s <= self._window_s
        reason = repeats or self._reason(track, evidence, age_s, young)
        if reason is None and p_fake is not None:
            evidence.state = decide(p_fake, self._contract.thresholds, evidence.state)
            reason = Reason.UNDECIDED if evidence.state is State.UNSURE else None
        else:
            evidence.state = State.UNSURE
        return Verdict(
            track.id, evidence.state, reason, p_fake, count, now_s, age_s, track.box, tuple(evidence.history)
        )

    def _reason(self, track: Track, evidence: _Evidence, age_s: float, young: bool) -> Reason | None:
        """Why nothing can be said, or None."""
        if track.box.w < self._limits.min_face_px:
            return Reason.TOO_SMALL
        if len(self._gaps_s) == _GAPS and median(self._gaps_s) > self._contract.gap_max_s:
            return Reason.FRAME_RATE
        flaws = [wrong for _, wrong in evidence.flaws if wrong]
        if 2 * len(flaws) > len(evidence.flaws):
            return mode(flaws)
        if len(evidence.scores) < self._min_pairs:
            return Reason.WARMING_UP if young else Reason.FEW_PAIRS
        return Reason.FEW_PAIRS if age_s > self._limits.stale_s else None

    def _aged(self, verdict: Verdict, now_s: float) -> Verdict:
        late_s = now_s - verdict.pts_s
        if late_s <= self._limits.stale_s:
            return replace(verdict, pts_s=now_s, age_s=verdict.age_s + late_s) if late_s > 0 else verdict
        return replace(verdict, state=State.STALE, reason=Reason.NO_FRAMES, pts_s=now_s, age_s=verdict.age_s + late_s)


def _mean(evidence: _Evidence) -> float:
    return sum(p for _, p in evidence.scores) / len(evidence.scores)
