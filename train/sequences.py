"""Sequences of successive pairs of one face, for networks with a memory: a recipe's data function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from stream.contract import Contract
from stream.errors import DataError, UsageError
from stream.flows import FlowFunction, flow_function
from stream.fusion import fuse
from stream.records import Image
from stream.scoring import RATE_HZ

from .augment import Augment, augment
from .dataset import ALTERED, ORIGINAL
from .parts import stored_parts
from .recipe import Recipe
from .store import StoredClip, open_store, refuse_other

STEPS = 8


class SequenceSamples:
    """Each sample is ``steps`` successive pairs of a clip, (T, S, S, C) uint8, with the clip's label.

    Successive are pairs as the stream scores them: ``rate_hz`` a second, or None for every stored one. To learn from,
    real and fake clips come in turn, each with a random part of its time and one augmentation for the whole sequence;
    to validate, every clip is cut into as many sequences as it holds. Clips with too few pairs are left out.
    """

    def __init__(
        self,
        clips: Sequence[StoredClip],
        contract: Contract,
        steps: int = STEPS,
        augment: Augment | None = None,
        seed: int = 0,
        flow_folder: Path | None = None,
        rate_hz: float | None = RATE_HZ,
    ) -> None:
        spaced = [(clip, list(clip.at_rate(rate_hz))) for clip in clips]
        spaced = [(clip, pairs) for clip, pairs in spaced if len(pairs) >= steps]
        self._clips = [clip for clip, _ in spaced]
        self._last = [pairs[-steps:] for _, pairs in spaced]
        self._contract, self._steps, self._augment, self._seed = contract, steps, augment, seed
        self._flow_folder, self._rate_hz = flow_folder, rate_hz
        self._flow: FlowFunction | None = None
        self._cuts = [
            (i, pairs[k : k + steps])
            for i, (_, pairs) in enumerate(spaced)
            for k in range(0, len(pairs) - steps + 1, steps)
        ]
        self._kinds = [[i for i, c in enumerate(self._clips) if c.clip.fake is fake] for fake in (True, False)]
        if not all(self._kinds):
            apart = f", {rate_hz:g} a second" if rate_hz else ""
            raise DataError(
                f"both classes need clips of at least {steps} pairs{apart}: prepare with --pairs all, "
                "or set options.steps"
            )

    def __len__(self) -> int:
        return len(self._cuts)

    def sample(self, epoch: int, index: int) -> tuple[Image, int]:
        rng = np.random.default_rng((self._seed, epoch, index))
        which, chosen = self._cuts[index]
        if self._augment is not None:
            which = int(rng.choice(self._kinds[index % 2]))
            start = int(rng.integers(self._last[which][0] + 1))
            chosen = list(islice(self._clips[which].at_rate(self._rate_hz, start), self._steps))
            if len(chosen) < self._steps:  # begun elsewhere, the same time may hold one fewer
                chosen = self._last[which]
        clip = self._clips[which]
        if self._flow is None:
            self._flow = flow_function(self._contract, self._flow_folder)
        images = []
        draw = int(rng.integers(2**31))
        for at in chosen:
            pair = clip.pair(at)
            if self._augment is not None:
                # The same draw for every pair: a change from pair to pair would itself be motion.
                first, second = augment(pair.first, pair.second, self._augment, np.random.default_rng(draw))
                pair = replace(pair, first=first, second=second)
            images.append(fuse(pair, self._contract, self._flow))
        return np.stack(images), ALTERED if clip.clip.fake else ORIGINAL


def samples(source: Path, contract: Contract, part: str, recipe: Recipe) -> SequenceSamples:
    """The ``train`` or ``valid`` part of a pair store, parted by identity.

    The recipe's ``options.steps`` pairs make a sequence, ``options.rate_hz`` of them a second (0: every stored one).

    Raises:
        DataError: no such store, or one of another contract. UsageError: impossible steps or an impossible rate.
    """
    steps, rate_hz = recipe.options.get("steps", STEPS), recipe.options.get("rate_hz", RATE_HZ)
    if not isinstance(steps, int) or steps < 1:
        raise UsageError("the recipe's options.steps must be a number of pairs, at least 1")
    if not isinstance(rate_hz, int | float) or not 0 <= rate_hz < math.inf:
        raise UsageError("the recipe's options.rate_hz must be a number of pairs a second, 0 for every stored one")
    store = open_store(source)
    refuse_other(store.contract, contract, str(source))
    flow_function(contract, source)
    chosen = stored_parts(store, recipe)[0][part]
    changes = recipe.augment if part == "train" else None
    return SequenceSamples(chosen, contract, steps, changes, recipe.seed, source, rate_hz or None)
