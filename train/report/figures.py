"""Scores -> the figures of the report, as plain values: no files, no plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.contract import Thresholds
from stream.records import State
from stream.verdict import decide
from train.metrics import (
    ClipScores,
    Flags,
    Interval,
    Metric,
    Scores,
    auc,
    average_precision,
    bootstrap,
    calibration_error,
    couples,
    detection_at,
    eer,
    groups,
    in_order,
    reliability,
)

from .groups import group_of
from .scoring import Look
from .shortcuts import metadata_scores

FALSE_RATES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How intervals are drawn: rounds of the bootstrap over people, and the seed."""

    rounds: int = 1000
    seed: int = 0

    def of(self, metric: Metric, p_fake: Scores, fake: Flags, group: NDArray[np.int64]) -> Interval:
        """``metric`` with its interval."""
        return bootstrap(metric, p_fake, fake, group, self.rounds, self.seed)


@dataclass(frozen=True)
class Judged:
    """All clips that got a score, in one order.

    ``p_fake`` (N,) clip means, ``fake`` (N,), ``group`` (N,) people, ``baseline`` (N,) what metadata alone says.
    """

    scores: tuple[ClipScores, ...]
    p_fake: Scores
    fake: Flags
    group: NDArray[np.int64]
    baseline: Scores

    def take(self, rows: NDArray[np.bool_]) -> Judged:
        """The clips where ``rows`` is true."""
        chosen = tuple(s for s, keep in zip(self.scores, rows, strict=True) if keep)
        return Judged(chosen, self.p_fake[rows], self.fake[rows], self.group[rows], self.baseline[rows])

    def pairs(self) -> tuple[Scores, Flags, NDArray[np.int64]]:
        """Scores, labels and people of every pair of frames."""
        counts = [len(s.p_fake) for s in self.scores]
        p_fake = np.concatenate([np.zeros(0), *(s.p_fake for s in self.scores)])
        return p_fake, np.repeat(self.fake, counts), np.repeat(self.group, counts)


def judged(looks: Sequence[Look], seed: int = 0) -> Judged:
    """Gather the plain looks; the baseline is cross-validated over all clips that got a score."""
    kept = [(look.scores, look.metadata) for look in looks if look.metadata is not None]
    scores = tuple(s for s, _ in kept)
    clips = [s.clip for s in scores]
    fake, group = np.array([c.fake for c in clips], bool), groups(clips)
    baseline = metadata_scores([facts for _, facts in kept], fake, group, seed=seed)
    return Judged(scores, np.array([s.mean for s in scores], float), fake, group, baseline)


def overall(found: Judged, sampling: Sampling) -> dict[str, Any]:
    """AUC, EER and AP at pair and clip level, with the same of metadata alone, and the calibration error."""
    pair = found.pairs()
    metrics: dict[str, Metric] = {"auc": auc, "eer": eer, "ap": average_precision}
    return {
        "clip": {n: asdict(sampling.of(m, found.p_fake, found.fake, found.group)) for n, m in metrics.items()}
        | {"ece": calibration_error(found.p_fake, found.fake)},
        "pair": {n: asdict(sampling.of(m, *pair)) for n, m in metrics.items()}
        | {"ece": calibration_error(pair[0], pair[1])},
        "metadata": {n: asdict(_known(m, found, sampling)) for n, m in metrics.items()},
        "reliability": {
            level: [values.tolist() for values in reliability(p, y)]
            for level, p, y in (("clip", found.p_fake, found.fake), ("pair", *pair[:2]))
        },
    }


def _known(metric: Metric, found: Judged, sampling: Sampling) -> Interval:
    """A figure of the baseline over the clips that it could say something of."""
    told = found.take(~np.isnan(found.baseline))
    return sampling.of(metric, told.baseline, told.fake, told.group)


def subset(found: Judged, rows: NDArray[np.bool_], sampling: Sampling, thresholds: Thresholds) -> dict[str, Any]:
    """The figures of some of the clips: AUC at both levels, that of metadata, counts, and what was called FAKE."""
    some = found.take(rows)
    return {
        "fakes": int(some.fake.sum()),
        "reals": int((~some.fake).sum()),
        "people": len(np.unique(some.group)),
        "clip": asdict(sampling.of(auc, some.p_fake, some.fake, some.group)),
        "pair": asdict(sampling.of(auc, *some.pairs())),
        "metadata": asdict(_known(auc, some, sampling)),
        "found": _share(called(some.scores, State.FAKE, thresholds)[some.fake]),
    }


def by_method(
    found: Judged, sampling: Sampling, thresholds: Thresholds, name: Callable[[str], str] = str
) -> dict[str, Any]:
    """Figures of each method's (or, with ``group_of`` as name, group's) fakes against all reals."""
    names = np.array([name(s.clip.method) if s.clip.fake else "" for s in found.scores])
    return {
        n or "not named": subset(found, ~found.fake | (found.fake & (names == n)), sampling, thresholds)
        for n in sorted({str(n) for n in names[found.fake]})
    }


def by_group(found: Judged, sampling: Sampling, thresholds: Thresholds) -> dict[str, Any]:
    """Figures of each group of generators against all reals."""
    return by_method(found, sampling, thresholds, group_of)


def paired(found: Judged, sampling: Sampling, thresholds: Thresholds) -> dict[str, Any] | None:
    """Figures of the clips whose partner in the same video was scored too, or None where there are none.

    ``wins`` is the share of couples in which the fake scores above its own original; ties count half.
    """
    both = couples(found.scores)
    rows = np.array([s.clip.pair in both for s in found.scores], bool)
    if not both:
        return None
    person = {s.clip.pair: int(group) for s, group in zip(found.scores, found.group, strict=True)}
    wins = sampling.of(
        lambda order, _: float(order.mean()),
        np.array([in_order(couple) for couple in both.values()]),
        np.ones(len(both), bool),
        np.array([person[pair] for pair in both], np.int64),
    )
    return subset(found, rows, sampling, thresholds) | {"couples": len(both), "wins": asdict(wins)}


def called(scores: Sequence[ClipScores], state: State, thresholds: Thresholds) -> Flags:
    """Which clips are called ``state`` by their mean, (N,); a clip without a score is called UNSURE."""
    return np.array([(decide(s.mean, thresholds) if len(s.p_fake) else State.UNSURE) is state for s in scores], bool)


def calls(scores: Sequence[ClipScores], thresholds: Thresholds) -> dict[str, dict[str, int]]:
    """How many real and fake clips are called REAL, UNSURE and FAKE; clips without a score are UNSURE."""
    return {
        label: {
            state.value: int(called([s for s in scores if s.clip.label == label], state, thresholds).sum())
            for state in (State.REAL, State.UNSURE, State.FAKE)
        }
        for label in ("real", "fake")
    }


def threshold_table(found: Judged, sampling: Sampling) -> list[dict[str, Any]]:
    """For each rate of reals above the threshold that one may accept: the threshold and the fakes found."""
    rows = []
    for rate in FALSE_RATES:
        detection = sampling.of(
            lambda p, y, rate=rate: detection_at(p, y, rate)[0],  # type: ignore[misc]
            found.p_fake,
            found.fake,
            found.group,
        )
        threshold = detection_at(found.p_fake, found.fake, rate)[1]
        threshold = threshold if np.isfinite(threshold) else float("nan")  # no threshold is low enough
        rows.append({"false_positives": rate, "threshold": threshold, "found": asdict(detection)})
    return rows


def change(found: Judged, looks: Sequence[Look], sampling: Sampling, thresholds: Thresholds) -> dict[str, Any]:
    """What a change of the clips in ``looks`` does, all others staying as they were.

    ``auc`` after it and ``auc_change``, drawn together over the same people, over the clips scored both ways;
    the shares of reals and fakes called FAKE (over all clips, unscored ones counting as not called) and the
    rise of those of reals; ``shift``, the mean rise of P(fake) of the reals; ``lost``, clips without a score.
    """
    new = {look.scores.clip.name: look.scores for look in looks}
    after = [new.get(s.clip.name, s) for s in found.scores]
    kept = np.array([len(s.p_fake) > 0 for s in after], bool)
    both = found.take(kept)
    later = np.array([s.mean for s, keep in zip(after, kept, strict=True) if keep], float)
    # Rows travel through the bootstrap in place of scores, so that both sides of the difference draw the same people.
    rows = np.arange(len(later), dtype=float)
    difference = sampling.of(
        lambda r, y: auc(later[r.astype(int)], y) - auc(both.p_fake[r.astype(int)], y), rows, both.fake, both.group
    )
    false = [called(scores, State.FAKE, thresholds)[~found.fake] for scores in (found.scores, after)]
    real = ~both.fake
    return {
        "auc": asdict(sampling.of(auc, later, both.fake, both.group)),
        "auc_change": asdict(difference),
        "false_positives": _share(false[1]),
        "false_positives_change": _share(false[1]) - _share(false[0]),
        "found": _share(called(after, State.FAKE, thresholds)[found.fake]),
        "shift": float((later - both.p_fake)[real].mean()) if real.any() else float("nan"),
        "lost": int((~kept).sum()),
    }


def _share(flags: Flags) -> float:
    return float(flags.mean()) if len(flags) else float("nan")
