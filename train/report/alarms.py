"""False alarms per hour and seconds to alarm, from the live verdict itself run over recorded scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stream.contract import Contract, Thresholds
from stream.records import Frame, Pair, State, Track
from stream.verdict import Window

THRESHOLDS: tuple[float, ...] = (
    *(round(0.05 * step, 2) for step in range(1, 20)),
    *(0.97, 0.98, 0.99, 0.995, 0.999),
)
"""Values of ``fake_enter`` that the curve is drawn over."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one frame gave the window: the frame, the tracks, the pairs that it completed and their scores."""

    frame: Frame
    tracks: tuple[Track, ...]
    pairs: tuple[Pair, ...]
    scores: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Alarms:
    """What one clip did at one threshold: how often a face turned FAKE, and how soon after it came into sight."""

    count: int
    first_s: float | None


@dataclass(frozen=True, slots=True)
class AlarmPoint:
    """The curve at one threshold.

    ``per_hour``: false alarms an hour of real face time; ``per_hour_at_most``: the bound that 95 % of such
    counts would allow (Poisson); ``found``: share of fake clips with an alarm; ``median_s``: their median
    seconds to alarm, None where none was found.
    """

    threshold: float
    per_hour: float
    per_hour_at_most: float
    found: float
    median_s: float | None


def face_time_s(steps: Sequence[Step]) -> float:
    """How long faces were followed in a clip: the sum over its tracks of the time from first to last sight."""
    tracks = {track.id: track for step in steps for track in step.tracks}
    return sum(track.last_s - track.first_s for track in tracks.values())


def at_threshold(contract: Contract, fake_enter: float) -> Contract:
    """The contract with another threshold for FAKE and the same hysteresis below it."""
    old = contract.thresholds
    leave = max(0.0, fake_enter - (old.fake_enter - old.fake_leave))
    real_leave = min(old.real_leave, leave)
    return replace(contract, thresholds=Thresholds(fake_enter, leave, min(old.real_enter, real_leave), real_leave))


def replay(steps: Sequence[Step], contract: Contract) -> Alarms:
    """Run a fresh ``stream.verdict.Window`` over a clip's steps and count how often it turns FAKE."""
    window, fake, count = Window(contract), set[int](), 0
    first_s: float | None = None
    for step in steps:
        born_s = {track.id: track.first_s for track in step.tracks}
        for verdict in window.update(step.frame, step.tracks, step.pairs, step.scores):
            if verdict.state is not State.FAKE:
                fake.discard(verdict.track)
            elif verdict.track not in fake:
                fake.add(verdict.track)
                count += 1
                after_s = step.frame.pts_s - born_s[verdict.track]
                first_s = after_s if first_s is None else min(first_s, after_s)
    return Alarms(count, first_s)


def extremes(steps: Sequence[Step], contract: Contract) -> tuple[float, float] | None:
    """The lowest and highest P(fake) that the live verdict could have gone by; None where it never had the evidence.

    ``fake_enter`` must exceed the highest, and ``real_enter`` lie below the lowest, for the clip never to be called so.
    """
    # A window that calls everything FAKE shows which of its means it would have judged at all.
    window = Window(replace(contract, thresholds=Thresholds(0.0, 0.0, 0.0, 0.0)))
    judged = [
        verdict.p_fake
        for step in steps
        for verdict in window.update(step.frame, step.tracks, step.pairs, step.scores)
        if verdict.state is State.FAKE and verdict.p_fake is not None
    ]
    return (min(judged), max(judged)) if judged else None


def curve(
    thresholds: Sequence[float], real: Sequence[Sequence[Alarms]], fake: Sequence[Sequence[Alarms]], real_face_s: float
) -> list[AlarmPoint]:
    """The curve over thresholds from each clip's alarms, one row a clip and one column a threshold.

    ``real_face_s``: seconds of real faces followed. The bound is exact for a Poisson count (Garwood, 1936).
    """
    from scipy.stats import chi2  # type: ignore[import-untyped]  # noqa: PLC0415  (slow to import)

    hours = real_face_s / 3600
    points = []
    for column, threshold in enumerate(thresholds):
        false = sum(row[column].count for row in real)
        waits = [row[column].first_s for row in fake]
        told = [s for s in waits if s is not None]
        points.append(
            AlarmPoint(
                threshold,
                false / hours if hours else float("nan"),
                float(chi2.ppf(0.95, 2 * (false + 1)) / 2 / hours) if hours else float("nan"),
                len(told) / len(waits) if waits else float("nan"),
                float(np.median(told)) if told else None,
            )
        )
    return points
