"""Record files read: as a shuffled stream, each shard by one worker of one process, or by number for ``train fit``.

By number (``data = "train.shard_stream:samples"``) nearby numbers lie in the same few shards, so that reading
stays nearly sequential, and a run can be gone on with anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from stream.contract import Contract
from stream.errors import DataError
from stream.flows import FlowFunction, flow_function
from stream.fusion import fuse
from stream.records import Image

from .augment import Augment, augment
from .dataset import ALTERED, ORIGINAL
from .recipe import Recipe
from .shards import Packed, index_file, open_shards, read_shard
from .store import refuse_other

NEARBY = 4
"""Shards that are mixed with one another when samples are asked for by number."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Which of how many reading processes this is, before each divides its share among its workers."""

    rank: int = 0
    world: int = 1


class ShardStream(IterableDataset[tuple[Image, int]]):
    """A part's samples as a shuffled stream: each shard is read by exactly one worker of one process, once an epoch.

    contract: the input form. augment: None leaves the crops as they are. buffer: samples held to be mixed. ``epoch``
    may be set between two readings, and changes every order and draw.

    Raises:
        DataError: the record files are not whole or of another contract; when read: fewer shards than readers.
    """

    def __init__(
        self,
        folder: Path,
        part: str,
        contract: Contract,
        augment: Augment | None = None,
        reader: Reader | None = None,
        buffer: int = 1000,
    ) -> None:
        self._files, cut_by = open_shards(folder, part)
        refuse_other(cut_by, contract, str(folder))
        self._folder, self._contract, self._augment = folder, contract, augment
        self._reader, self._buffer = reader or Reader(), buffer
        self.epoch = 0

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        worker = get_worker_info()
        workers, own = (worker.num_workers, worker.id) if worker else (1, 0)
        readers, mine = self._reader.world * workers, self._reader.rank * workers + own
        if len(self._files) < readers:
            raise DataError(f"{len(self._files)} shards cannot feed {readers} readers: write smaller ones")
        order = np.random.default_rng(self.epoch).permutation(len(self._files))
        rng = np.random.default_rng((self.epoch, mine))
        flow = flow_function(self._contract, self._folder)
        for packed in self._mixed([self._files[i] for i in order[mine::readers]], rng):
            yield _sample(packed, self._contract, self._augment, flow, rng)

    def _mixed(self, files: Sequence[Path], rng: np.random.Generator) -> Iterator[Packed]:
        held: list[Packed] = []
        for file in files:
            for packed in read_shard(file):
                held.append(packed)
                if len(held) >= self._buffer:
                    at = int(rng.integers(len(held)))
                    held[at], held[-1] = held[-1], held[at]
                    yield held.pop()
        for i in rng.permutation(len(held)):
            yield held[i]


class ShardSamples:
    """A part's samples by (epoch, index), as ``train fit`` asks for them; to validate, in the order of the shards."""

    def __init__(
        self, folder: Path, part: str, contract: Contract, augment: Augment | None = None, seed: int = 0
    ) -> None:
        self._files, cut_by = open_shards(folder, part)
        refuse_other(cut_by, contract, str(folder))
        self._folder, self._contract, self._augment, self._seed = folder, contract, augment, seed
        self._places = [np.array(json.loads(index_file(f).read_text()), np.int64) for f in self._files]
        self._flow: FlowFunction | None = None
        self._order: tuple[int, np.ndarray[Any, np.dtype[np.int64]]] | None = None

    def __len__(self) -> int:
        return sum(len(places) for places in self._places)

    def sample(self, epoch: int, index: int) -> tuple[Image, int]:
        if self._flow is None:
            self._flow = flow_function(self._contract, self._folder)
        shard, row = self._where(epoch, index)
        at = self._places[shard][row]
        with self._files[shard].open("rb") as file:
            parts = []
            for k in (0, 2, 4):
                file.seek(int(at[k]))
                parts.append(file.read(int(at[k + 1])))
        rng = np.random.default_rng((self._seed, epoch, index))
        packed = Packed(parts[0], parts[1], json.loads(parts[2]))
        return _sample(packed, self._contract, self._augment, self._flow, rng)

    def _where(self, epoch: int, index: int) -> tuple[int, int]:
        epoch = 0 if self._augment is None else epoch
        if self._order is None or self._order[0] != epoch:
            groups = np.arange(len(self._files))
            rng = np.random.default_rng((self._seed, epoch, 2**31))
            if self._augment is not None:
                groups = rng.permutation(groups)
            chunks = []
            for k in range(0, len(groups), NEARBY):
                rows = [
                    np.stack((np.full(len(self._places[g]), g), np.arange(len(self._places[g]))), 1)
                    for g in groups[k : k + NEARBY]
                ]
                chunk = np.concatenate(rows)
                chunks.append(chunk if self._augment is None else rng.permutation(chunk))
            self._order = epoch, np.concatenate(chunks)
        shard, row = self._order[1][index]
        return int(shard), int(row)


def _sample(
    packed: Packed, contract: Contract, changes: Augment | None, flow: FlowFunction, rng: np.random.Generator
) -> tuple[Image, int]:
    pair = packed.pair()
    if changes is not None:
        first, second = augment(pair.first, pair.second, changes, rng)
        pair = replace(pair, first=first, second=second)
    return fuse(pair, contract, flow), ALTERED if packed.about["fake"] else ORIGINAL


def samples(source: Path, contract: Contract, part: str, recipe: Recipe) -> ShardSamples:
    """A recipe's data function: ``--set data=train.shard_stream:samples`` with a folder of 'flowtell train shards'."""
    return ShardSamples(source, part, contract, recipe.augment if part == "train" else None, recipe.seed)
