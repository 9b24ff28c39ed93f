"""How well P(fake) tells fake from real: pure functions over scores and labels.

Everywhere ``p_fake`` is (N,) in [0, 1] and ``fake`` (N,) bool. Figures that need both classes are NaN without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.manifest import Clip

Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]
Metric = Callable[[Scores, Flags], float]


@dataclass(frozen=True)
class ClipScores:
    """What a model says of one clip, along the track of the face with the most pairs.

    ``times_s`` and ``p_fake`` are (N,) float64: when each pair's second frame was shown (seconds of the clip's own
    clock) and its calibrated P(fake). N is 0 where no face could be scored; ``reason`` then says why.
    ``face_px`` is the mean side of the face's canonical box.
    """

    clip: Clip
    times_s: Scores
    p_fake: Scores
    face_px: float = 0.0
    reason: str = ""

    @property
    def mean(self) -> float:
        """The clip's P(fake): the mean of its pairs; NaN without any."""
        return float(self.p_fake.mean()) if len(self.p_fake) else float("nan")


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the bounds of its 95 % interval; NaN where it cannot be told."""

    value: float
    low: float
    high: float


def auc(p_fake: Scores, fake: Flags) -> float:
    """Area under the ROC curve: how often a fake scores above a real; ties count half (Mann-Whitney U)."""
    positives, negatives = int(fake.sum()), int((~fake).sum())
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(p_fake, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[fake].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def roc(p_fake: Scores, fake: Flags) -> tuple[Scores, Scores, Scores]:
    """False-positive rate, detection rate and threshold (score >= threshold is fake), from (0, 0, inf) to (1, 1)."""
    thresholds = np.unique(p_fake)[::-1]
    real, found = np.sort(p_fake[~fake]), np.sort(p_fake[fake])
    rates = [
        (len(s) - np.searchsorted(s, thresholds, side="left")) / len(s) if len(s) else np.full(len(thresholds), np.nan)
        for s in (real, found)
    ]
    false, true = (np.concatenate([[0.0], r]) for r in rates)
    return false, true, np.concatenate([[np.inf], thresholds])


def eer(p_fake: Scores, fake: Flags) -> float:
    """Equal error rate: where the ROC curve, straight between its points, has as many misses as false alarms."""
    if fake.all() or not fake.any():
        return float("nan")
    false, true, _ = roc(p_fake, fake)
    gap = false - (1 - true)  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    before = after - 1
    share = -gap[before] / (gap[after] - gap[before])
    return float(false[before] + share * (false[after] - false[before]))


def average_precision(p_fake: Scores, fake: Flags) -> float:
    """Sum over thresholds of precision times the recall gained there (as scikit-learn defines it)."""
    if not fake.any():
        return float("nan")
    _, inverse = np.unique(-p_fake, return_inverse=True)
    chosen = np.cumsum(np.bincount(inverse))
    hits = np.cumsum(np.bincount(inverse, weights=fake.astype(float)))
    return float((np.diff(hits / fake.sum(), prepend=0.0) * hits / chosen).sum())


def accuracy(p_fake: Scores, fake: Flags, threshold: float = 0.5) -> float:
    """Share told right when P(fake) >= threshold means fake."""
    return float(((p_fake >= threshold) == fake).mean()) if len(fake) else float("nan")


def soft_accuracy(p_fake: Scores, fake: Flags) -> float:
    """The notebook's figure: mean probability of the true class, in percent; flatters nobody who is only confident."""
    return float(100 * np.where(fake, p_fake, 1 - p_fake).mean()) if len(fake) else float("nan")


def detection_at(p_fake: Scores, fake: Flags, false_rate: float) -> tuple[float, float]:
    """The best detection rate with at most ``false_rate`` of the reals above the threshold, and that threshold."""
    if fake.all() or not fake.any():
        return float("nan"), float("nan")
    false, true, thresholds = roc(p_fake, fake)
    last = int(np.flatnonzero(false <= false_rate)[-1])
    return float(true[last]), float(thresholds[last])


def reliability(p_fake: Scores, fake: Flags, bins: int = 10) -> tuple[Scores, Scores, NDArray[np.int64]]:
    """Mean P(fake), share of fakes and count in equal bins of P(fake), each (bins,); NaN in empty bins."""
    which = np.minimum((p_fake * bins).astype(int), bins - 1)
    counts = np.bincount(which, minlength=bins)
    with np.errstate(invalid="ignore"):
        said = np.bincount(which, weights=p_fake, minlength=bins) / counts
        true = np.bincount(which, weights=fake.astype(float), minlength=bins) / counts
    return said, true, counts.astype(np.int64)


def calibration_error(p_fake: Scores, fake: Flags, bins: int = 10) -> float:
    """Expected calibration error: gaps of the reliability diagram, weighted by count (Guo et al., 2017)."""
    if not len(fake):
        return float("nan")
    said, true, counts = reliability(p_fake, fake, bins)
    full = counts > 0
    return float((np.abs(said - true)[full] * counts[full]).sum() / counts.sum())


def groups(clips: Sequence[Clip]) -> NDArray[np.int64]:
    """A number for each clip, the same for clips that share a person or a pair, even over several steps."""
    parent: dict[str, str] = {}

    def find(key: str) -> str:
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    keys = [[*(f"i:{i}" for i in c.identities or (c.name,)), *([f"p:{c.pair}"] if c.pair else [])] for c in clips]
    for first, *others in keys:
        for other in others:
            parent[find(other)] = find(first)
    roots = [find(first) for first, *_ in keys]
    numbers = {root: n for n, root in enumerate(dict.fromkeys(roots))}
    return np.array([numbers[root] for root in roots], np.int64)


def couples(scores: Sequence[ClipScores]) -> dict[str, list[ClipScores]]:
    """The scored clips of each video of which there are both, original and fake, by the name of their ``pair``."""
    videos: dict[str, list[ClipScores]] = {}
    for s in scores:
        if s.clip.pair and len(s.p_fake):
            videos.setdefault(s.clip.pair, []).append(s)
    return {pair: videos[pair] for pair in sorted(videos) if len({s.clip.fake for s in videos[pair]}) == 2}


def in_order(couple: Sequence[ClipScores]) -> float:
    """How often a fake of one video scores above its own original; ties count half."""
    return auc(np.array([s.mean for s in couple]), np.array([s.clip.fake for s in couple], bool))


def bootstrap(
    metric: Metric, p_fake: Scores, fake: Flags, group: NDArray[np.int64], rounds: int = 1000, seed: int = 0
) -> Interval:
    """``metric`` with its 95 % interval over ``rounds`` draws of whole groups (people) with replacement.

    Draws that lack a class give NaN and are left out; the interval is NaN where all of them do.
    """
    value = metric(p_fake, fake)
    members = [np.flatnonzero(group == g) for g in np.unique(group)]
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(rounds if members else 0):
        rows = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        drawn.append(metric(p_fake[rows], fake[rows]))
    told = np.array([d for d in drawn if not np.isnan(d)])
    if not len(told):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.percentile(told, [2.5, 97.5])
    return Interval(value, float(low), float(high))
