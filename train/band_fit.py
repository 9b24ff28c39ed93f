"""Weighing ``train.bands`` beside a trained ResNet18, on the pair store of the clips that it was trained on.

The logistic regression sees every pair twice, as it is and degraded, by the same draws for every clip. Its strength is
chosen by cross-validation over people: nobody is scored by weights that were fitted on clips of theirs. Then both
opinions are added, each in units of how far it varies over the store's real clips: a balance that is fixed, not fitted,
for of the clips that the network learned from it is too sure to be weighed. No clip outside the store is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from stream.contract import Contract
from stream.errors import DataError, UsageError
from stream.flows import FlowFunction, flow_function
from stream.fusion import fuse
from stream.records import Pair

from .bands import BandsNetwork
from .checkpoint import save_made_of
from .degrade import Degrade
from .manifest import Clip, check_both
from .metrics import ClipScores, Flags, Interval, auc, bootstrap, couples, groups, in_order
from .models import build, load, read_checkpoint
from .scoring import BATCH
from .store import StoredClip, open_store, refuse_other

STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)  # scikit-learn's C: the larger, the freer
FOLDS, ROUNDS = 6, 5  # people are dealt to the folds anew in every round: one deal alone is luck
Rows = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trial:
    """Cross-validation over people with one strength: what the bands alone, fitted on others' clips, say of each clip.

    ``scores`` and ``logits`` (N,) are those of the N clips in the store's order.
    """

    strength: float
    scores: tuple[ClipScores, ...]
    logits: Rows

    @property
    def fake(self) -> Flags:
        """Which clips are, (N,)."""
        return np.array([s.clip.fake for s in self.scores])

    @property
    def auc(self) -> float:
        """Over all clips."""
        return auc(self.logits, self.fake)

    @property
    def interval(self) -> Interval:
        """``auc`` with its 95 % interval over people."""
        return bootstrap(auc, self.logits, self.fake, groups([s.clip for s in self.scores]))

    @property
    def in_order(self) -> tuple[int, int]:
        """The videos whose fake scores above its own original, and the videos that there are both of."""
        found = couples(self.scores).values()
        return sum(in_order(couple) > 0.5 for couple in found), len(found)


@dataclass(frozen=True, slots=True)
class _Read:
    """What is known of a clip of N pairs: (N,) differences of the body's logits, and (N, B) bands.

    ``spoiled``: (N, B) bands of the same pairs after what cameras, codecs and filters may do to them.
    """

    clip: Clip
    body: Rows
    bands: Rows
    spoiled: Rows


@dataclass(frozen=True, slots=True)
class _Line:
    """A logistic regression as plain numbers: logit = bands @ weights + bias."""

    weights: Rows
    bias: float

    def __call__(self, read: _Read) -> Rows:
        return np.asarray(read.bands @ self.weights + self.bias)


def fit_bands(checkpoint: Path, store: Path, out: Path, on_clip: Callable[[Clip], None] = lambda clip: None) -> Trial:
    """Write ``checkpoint``'s ResNet18 with bands weighed beside it, as a checkpoint; returns the trial that was best.

    Raises:
        UsageError: no ResNet18. ModelError, ContractError: the checkpoint cannot be used. DataError: the store cannot,
        lacks a class, has too few people, or an opinion says the same of every real clip, or no number.
        OutputError: ``out`` cannot be written.
    """
    body, contract = load(checkpoint)
    if (arch := read_checkpoint(checkpoint)["arch"]) != "resnet18":
        raise UsageError(f"bands are weighed beside a resnet18, and {checkpoint} is a {arch}: give another")
    opened = open_store(store)
    refuse_other(opened.contract, contract, str(store))
    clips = [c.clip for c in opened.clips]
    check_both(clips, str(store))
    people = groups(clips)
    network = build(contract, "resnet18-bands")
    assert isinstance(network, BandsNetwork)
    network.body = body.body
    network.eval()
    flow, reads = flow_function(contract, checkpoint.parent), []
    for stored in opened.clips:
        reads.append(_read(stored, network, contract, flow))
        on_clip(stored.clip)
    best = max((_trial(reads, people, strength) for strength in STRENGTHS), key=lambda trial: trial.auc)
    line = _fit(reads, best.strength)
    real = ~best.fake
    spread = np.array([r.body.mean() for r in reads])[real].std(), best.logits[real].std()
    if not all(1e-6 < s < np.inf for s in spread):
        raise DataError(f"{checkpoint} or its bands tell no real clip of {store} from another: nothing can be weighed")
    network.weigh(1 / spread[0], line.weights / spread[1], line.bias / spread[1])
    fakes = len(clips) - int(real.sum())
    on = f"{contract.trained_on}; bands weighed on {real.sum()} real clips and {fakes} deepfakes"
    save_made_of(checkpoint, out, network.state_dict(), on, "resnet18-bands")
    return best


def _read(stored: StoredClip, network: BandsNetwork, contract: Contract, flow: FlowFunction) -> _Read:
    body, bands, spoiled = [], [], []
    draw = np.random.default_rng(0)
    for start in range(0, stored.pairs, BATCH):
        pairs = [stored.pair(i) for i in range(start, min(start + BATCH, stored.pairs))]
        images, worse = (
            torch.from_numpy(np.stack([fuse(pair, contract, flow) for pair in shown]))
            for shown in (pairs, [_spoil(pair, draw) for pair in pairs])
        )
        with torch.inference_mode():
            logits = network.body(network.normalise(images))
            body.append((logits[:, 0] - logits[:, 1]).double().numpy())
            bands.append(network.bands(images).double().numpy())
            spoiled.append(network.bands(worse).double().numpy())
    return _Read(stored.clip, np.concatenate(body), np.concatenate(bands), np.concatenate(spoiled))


def _spoil(pair: Pair, draw: np.random.Generator) -> Pair:
    size = pair.first.shape[:2]
    first, second = (
        crop if crop.shape[:2] == size else np.asarray(cv2.resize(crop, size), np.uint8)
        for crop in Degrade.draw(draw)(np.stack([pair.first, pair.second]))
    )
    return replace(pair, first=first, second=second)


def _trial(reads: Sequence[_Read], people: NDArray[np.int64], strength: float) -> Trial:
    fake = np.array([r.clip.fake for r in reads])
    said = [np.zeros(len(r.bands)) for r in reads]
    for seed in range(ROUNDS):
        fold = _deal(people, fake, np.random.default_rng(seed))
        for held in np.unique(fold):
            line = _fit([r for r, f in zip(reads, fold, strict=True) if f != held], strength)
            for i in np.flatnonzero(fold == held).tolist():
                said[i] += line(reads[i]) / ROUNDS
    scores = [ClipScores(r.clip, np.zeros(len(s)), 1 / (1 + np.exp(-s))) for r, s in zip(reads, said, strict=True)]
    return Trial(strength, tuple(scores), np.array([s.mean() for s in said]))


def _deal(people: NDArray[np.int64], fake: Flags, rng: np.random.Generator) -> NDArray[np.int64]:
    """A fold for each clip (N,): people in turn, so that each class is in every fold and nobody in two."""
    fakes, reals = (set(people[fake == kind].tolist()) for kind in (True, False))
    folds = min(FOLDS, len(fakes), len(reals))
    if folds < 2:
        raise DataError(
            "cross-validation needs deepfakes and real clips of two people each at least, whom no video joins: give "
            "more, or leave out deepfakes that join everybody"
        )
    both, fold = sorted(fakes & reals), dict[int, int]()
    for members, first in ((both, 0), (sorted(fakes - reals), len(both)), (sorted(reals - fakes), len(both))):
        fold |= {int(who): (first + k) % folds for k, who in enumerate(rng.permutation(members))}
    return np.array([fold[who] for who in people.tolist()])


def _fit(reads: Sequence[_Read], strength: float) -> _Line:
    """Every clip counts as much as any other of its class, and both classes alike, however many pairs they have."""
    bands = np.concatenate([part for r in reads for part in (r.bands, r.spoiled)])
    count = [2 * len(r.bands) for r in reads]
    fake = np.repeat([r.clip.fake for r in reads], count)
    weight = np.repeat(1 / np.array(count), count)
    for kind in (True, False):
        weight[fake == kind] /= weight[fake == kind].sum()
    scale = StandardScaler().fit(bands, sample_weight=weight)
    fitted = LogisticRegression(C=strength, max_iter=5000).fit(scale.transform(bands), fake, sample_weight=weight)
    weights = fitted.coef_[0] / scale.scale_
    return _Line(weights, float(fitted.intercept_[0] - weights @ scale.mean_))
