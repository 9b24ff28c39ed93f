"""Sequences of successive pairs of one face, for networks with a memory: a recipe's data function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from stream.contract import Contract
from stream.errors import DataError, UsageError
from stream.flows import FlowFunction, flow_function
from stream.fusion import fuse
from stream.records import Image

from .augment import Augment, augment
from .dataset import ALTERED, ORIGINAL
from .parts import stored_parts
from .recipe import Recipe
from .store import StoredClip, open_store, refuse_other

STEPS = 8


class SequenceSamples:
    """Each sample is ``steps`` successive pairs of a clip, (T, S, S, C) uint8, with the clip's label.

    To learn from, real and fake clips come in turn, each with a random part of its time and one augmentation for the
    whole sequence; to validate, every clip is cut into as many sequences as it holds. Clips with too few pairs are left
    out.
    """

    def __init__(
        self,
        clips: Sequence[StoredClip],
        contract: Contract,
        steps: int = STEPS,
        augment: Augment | None = None,
        seed: int = 0,
        flow_folder: Path | None = None,
    ) -> None:
        self._clips = [clip for clip in clips if clip.pairs >= steps]
        self._contract, self._steps, self._augment, self._seed = contract, steps, augment, seed
        self._flow_folder = flow_folder
        self._flow: FlowFunction | None = None
        self._cuts = [(i, k * steps) for i, clip in enumerate(self._clips) for k in range(clip.pairs // steps)]
        self._kinds = [[i for i, c in enumerate(self._clips) if c.clip.fake is fake] for fake in (True, False)]
        if not all(self._kinds):
            raise DataError(
                f"both classes need clips of at least {steps} pairs: prepare more pairs, or set options.steps"
            )

    def __len__(self) -> int:
        return len(self._cuts)

    def sample(self, epoch: int, index: int) -> tuple[Image, int]:
        rng = np.random.default_rng((self._seed, epoch, index))
        which, start = self._cuts[index]
        if self._augment is not None:
            which = int(rng.choice(self._kinds[index % 2]))
            start = int(rng.integers(self._clips[which].pairs - self._steps + 1))
        clip = self._clips[which]
        if self._flow is None:
            self._flow = flow_function(self._contract, self._flow_folder)
        images = []
        draw = int(rng.integers(2**31))
        for k in range(self._steps):
            pair = clip.pair(start + k)
            if self._augment is not None:
                # The same draw for every pair: a change from pair to pair would itself be motion.
                first, second = augment(pair.first, pair.second, self._augment, np.random.default_rng(draw))
                pair = replace(pair, first=first, second=second)
            images.append(fuse(pair, self._contract, self._flow))
        return np.stack(images), ALTERED if clip.clip.fake else ORIGINAL


def samples(source: Path, contract: Contract, part: str, recipe: Recipe) -> SequenceSamples:
    """The ``train`` or ``valid`` part of a pair store, parted by identity; ``options.steps`` pairs a sequence.

    Raises:
        DataError: no such store, or one of another contract. UsageError: an impossible number of steps.
    """
    steps = recipe.options.get("steps", STEPS)
    if not isinstance(steps, int) or steps < 1:
        raise UsageError("the recipe's options.steps must be a number of pairs, at least 1")
    store = open_store(source)
    refuse_other(store.contract, contract, str(source))
    flow_function(contract, source)
    chosen = stored_parts(store, recipe)[0][part]
    return SequenceSamples(chosen, contract, steps, recipe.augment if part == "train" else None, recipe.seed, source)
