"""Stored pairs -> training samples: augmentation on crops, then the one and only ``stream.fusion.fuse``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from stream.contract import Contract
from stream.flows import FlowFunction, flow_function
from stream.fusion import fuse
from stream.records import Image

from .augment import Augment, augment
from .store import StoredClip

Balance = Literal["none", "class", "pair"]
ALTERED, ORIGINAL = 0, 1
Order = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Of each index of an epoch: which clip, and which of its pairs."""


class Samples(Protocol):
    """What ``train fit`` learns from: network inputs with labels, each a function of (epoch, index) alone.

    So any process can make any sample at any time: order, workers and restarts change nothing. ``made_of``, one line
    on what they are made of, goes into the contract where samples have it.
    """

    def __len__(self) -> int:
        """Samples of one epoch."""

    def sample(self, epoch: int, index: int) -> tuple[Image, int]:
        """A (S, S, C) uint8 input, and 0 (altered) or 1 (original); of training twins with ``dense`` C + 1 channels."""


class StoreSamples:
    """Samples from a pair store.

    clips: those to use. contract: the input form. augment: None for validation, which then goes through every
    pair once in order. balance: ``none`` shuffles all pairs; ``class`` draws real and fake in turn, every clip of a
    class as often as any other; ``pair`` does so too, and gives each fake its own original where the store has it.
    flow_folder: where a learned flow's file lies.
    """

    def __init__(
        self,
        clips: Sequence[StoredClip],
        contract: Contract,
        augment: Augment | None = None,
        balance: Balance = "none",
        seed: int = 0,
        flow_folder: Path | None = None,
    ) -> None:
        self.clips, self.contract = tuple(clips), contract
        self._augment, self._balance, self._seed, self._flow_folder = augment, balance, seed, flow_folder
        self._flow: FlowFunction | None = None
        self._pairs = np.array([clip.pairs for clip in self.clips], np.int64)
        self._ordered: tuple[int, Order] | None = None

    def __len__(self) -> int:
        return int(self._pairs.sum())

    def sample(self, epoch: int, index: int) -> tuple[Image, int]:
        clip_index, pair_index = self.where(epoch, index)
        stored = self.clips[clip_index]
        pair = stored.pair(pair_index)
        if self._augment is not None:
            rng = np.random.default_rng((self._seed, epoch, index))
            first, second = augment(pair.first, pair.second, self._augment, rng)
            pair = replace(pair, first=first, second=second)
        if self._flow is None:  # made where it is used: a network's session does not survive a fork
            self._flow = flow_function(self.contract, self._flow_folder)
        return fuse(pair, self.contract, self._flow), ALTERED if stored.clip.fake else ORIGINAL

    def where(self, epoch: int, index: int) -> tuple[int, int]:
        """Which clip, and which of its pairs, is the sample ``index`` of ``epoch``."""
        if self._augment is None:
            epoch = 0
        if self._ordered is None or self._ordered[0] != epoch:
            self._ordered = (epoch, self._order(epoch))
        clips, pairs = self._ordered[1]
        return int(clips[index]), int(pairs[index])

    def _order(self, epoch: int) -> Order:
        clips = np.repeat(np.arange(len(self.clips)), self._pairs)
        pairs = np.concatenate([np.arange(n) for n in self._pairs])
        if self._augment is None:
            return clips, pairs
        # 2**31: apart from every sample's own (seed, epoch, index).
        rng = np.random.default_rng((self._seed, epoch, 2**31))
        if self._balance == "none":
            order = rng.permutation(len(clips))
            return clips[order], pairs[order]
        return self._balanced(rng)

    def _balanced(self, rng: np.random.Generator) -> Order:
        """Fake and real in turn: whole passes over the clips of each class, in a new order each time."""
        count = (len(self) + 1) // 2
        fake, real = (
            np.array([i for i, s in enumerate(self.clips) if s.clip.fake is wanted], np.int64)
            for wanted in (True, False)
        )
        drawn = [_passes(which, count, rng) for which in (fake, real)]
        if self._balance == "pair":
            originals = {s.clip.pair: i for i, s in enumerate(self.clips) if s.clip.pair and not s.clip.fake}
            drawn[1] = np.array(
                [originals.get(self.clips[f].clip.pair, r) for f, r in zip(*drawn, strict=True)], np.int64
            )
        clips = np.stack(drawn, axis=1).reshape(-1)[: len(self)]
        # A fake and its original are shown at the same moment.
        places = rng.random(count).repeat(2)[: len(self)] if self._balance == "pair" else rng.random(len(self))
        return clips, (places * self._pairs[clips]).astype(np.int64)


def _passes(which: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    rounds = [rng.permutation(which) for _ in range(-(-count // len(which)))]
    return np.concatenate(rounds)[:count]
