"""Does the exported file say what the network says? Measured on real fused images, before anybody relies on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream.contract import Contract
from stream.demo import CLIP
from stream.errors import ModelError
from stream.flows import flow_function
from stream.fusion import fuse
from stream.model import Model
from train.checkpoint import CheckpointScorer
from train.prepare import clip_pairs
from train.store import open_store, refuse_other

from .precision import Precision

LIMITS: dict[Precision, float] = {"fp32": 1e-4, "fp16": 0.02, "int8": 0.2}
"""Largest difference in P(fake) on any image. Fewer bits move it further; how far is told each time."""
_BATCH = 32


@dataclass(frozen=True, slots=True)
class Parity:
    """Differences in P(fake) between checkpoint and exported file over ``images`` pictures."""

    images: int
    largest: float
    mean: float

    def __str__(self) -> str:
        return f"P(fake) differs by {self.largest:.1e} at most and {self.mean:.1e} on average over {self.images} images"


def real_images(
    contract: Contract, count: int, store: Path | None = None, flow_folder: Path | None = None
) -> NDArray[np.uint8]:
    """Network inputs made of real pairs, (N, S, S, C) uint8 with N <= ``count``.

    They come from a pair store, from all of its clips alike, or from the bundled demo clip where there is none.

    Raises:
        DataError: the store is none, or was cut by another contract.
    """
    flow = flow_function(contract, flow_folder)
    if store is None:
        found = list(clip_pairs(CLIP, contract))
        pairs = [found[i] for i in np.unique(np.linspace(0, len(found) - 1, count).round().astype(int))]
    else:
        opened = open_store(store)
        refuse_other(opened.contract, contract, str(store))
        # As many of each clip, evenly over it, and one of every clip before the second of any.
        each = -(-count // len(opened.clips))
        chosen = [np.linspace(0, c.pairs - 1, min(each, c.pairs)).round().astype(int) for c in opened.clips]
        turns = [
            (clip, int(at[turn]))
            for turn in range(each)
            for clip, at in zip(opened.clips, chosen, strict=True)
            if turn < len(at)
        ]
        pairs = [clip.pair(index) for clip, index in turns[:count]]
    return np.stack([fuse(pair, contract, flow) for pair in pairs])


def compare(checkpoint: Path, exported: Path, images: NDArray[np.uint8]) -> Parity:
    """Measure both on the same images, (N, S, S, C) uint8, on the CPU."""
    one, other = CheckpointScorer(checkpoint, "cpu"), Model(exported, "cpu")
    gaps = np.concatenate([np.abs(one(batch) - other(batch)) for batch in _batches(images)])
    return Parity(len(images), float(gaps.max()), float(gaps.mean()))


def refuse(parity: Parity, precision: Precision) -> None:
    """Raise ModelError where the differences exceed the precision's limit."""
    limit = LIMITS[precision]
    # Not "largest > limit": a NaN must not pass.
    if not parity.largest <= limit:
        raise ModelError(
            f"the exported {precision} file is not the network: {parity}, where {limit:g} is allowed; "
            "nothing was written, please try another --precision or report this"
        )


def _batches(images: NDArray[np.uint8]) -> Iterator[list[NDArray[np.uint8]]]:
    for start in range(0, len(images), _BATCH):
        yield list(images[start : start + _BATCH])
