"""Record files: the pairs of a store in sharded tars (WebDataset's layout), for stores that no disk cache holds.

OUT holds ``shards.json`` (format, contract, parts and their shards), ``PART-00000.tar`` and so on, and beside each tar
``PART-00000.json``, where its pictures lie. A sample is three members, ``KEY.first.png``, ``KEY.second.png``
(lossless) and ``KEY.json``. The pairs of a part are dealt to its shards at random, so that each shard alone is a
fair sample; each tar appears whole or not at all, and an interrupted writing goes on where it was.

They are read as a shuffled stream, each shard by one worker of one process (``ShardStream``), or by number for
``train fit`` (``data = "train.shards:samples"``): nearby numbers lie in the same few shards.
"""

from __future__ import annotations

import io
import json
import math
import multiprocessing
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from stream.contract import Contract
from stream.errors import DataError, OutputError
from stream.flows import FlowFunction, flow_function
from stream.fusion import fuse
from stream.records import Box, Image, Pair

from .augment import Augment, augment
from .dataset import ALTERED, ORIGINAL
from .recipe import Recipe
from .store import StoredClip, refuse_other, write_atomically

FORMAT = 1
NEARBY = 4
"""Shards that are mixed with one another when samples are asked for by number."""


@dataclass(frozen=True, slots=True)
class _Task:
    """One shard to write: which pairs of which clips, in this order."""

    file: Path
    rows: tuple[tuple[StoredClip, int], ...]


@dataclass(frozen=True, slots=True)
class Packed:
    """One sample as it lies in a shard: two PNG files, and the values beside them."""

    first: bytes
    second: bytes
    about: Mapping[str, Any]

    def pair(self) -> Pair:
        """The pair, decoded."""
        crops = [cv2.imdecode(np.frombuffer(b, np.uint8), cv2.IMREAD_COLOR) for b in (self.first, self.second)]
        if crops[0] is None or crops[1] is None:
            raise DataError(f"a picture of {self.about['clip']} in the record files is damaged: write them again")
        a, box = self.about, Box(*self.about["box"])
        first, second = (np.asarray(crop, np.uint8) for crop in crops)
        return Pair(a["track"], a["pts_s"], a["gap_s"], first, second, box, a["face_px"])


def write_shards(
    parts: Mapping[str, Sequence[StoredClip]],
    contract: Contract,
    out: Path,
    per_shard: int = 4000,
    workers: int = 2,
    on_shard: Callable[[str, int], None] = lambda name, total: None,
) -> int:
    """Write the pairs of each part, about ``per_shard`` a file; returns how many files were made now.

    ``on_shard`` is called after each with its name and how many there are in all.

    Raises:
        DataError: ``out`` holds other record files. OutputError: it cannot be written.
    """
    tasks = [task for name, clips in parts.items() for task in _deal(name, clips, out, per_shard)]
    counted = {name: sum(t.file.name.startswith(f"{name}-") for t in tasks) for name in parts}
    about = {"format": FORMAT, "contract": asdict(contract), "shards": counted, "per_shard": per_shard}
    file = out / "shards.json"
    if file.is_file() and json.loads(file.read_text(encoding="utf-8")) != json.loads(json.dumps(about)):
        raise DataError(f"{out} holds record files of another store, contract or size: give another folder")
    if not file.is_file():
        write_atomically(file, lambda to: to.write(json.dumps(about, indent=1).encode()))
    todo = [task for task in tasks if not _index_file(task.file).is_file()]
    # Spawned, not forked: OpenCV's threads do not survive a fork.
    with ProcessPoolExecutor(max(1, workers), multiprocessing.get_context("spawn")) as pool:
        for name in pool.map(_write, todo):
            on_shard(name, len(tasks))
    return len(todo)


def _deal(part: str, clips: Sequence[StoredClip], out: Path, per_shard: int) -> list[_Task]:
    rows = [(clip, i) for clip in clips for i in range(clip.pairs)]
    if not rows:
        raise DataError(f"the part '{part}' holds no pairs to write")
    order = np.random.default_rng(len(rows)).permutation(len(rows))
    dealt = np.array_split(order, math.ceil(len(rows) / per_shard))
    return [_Task(out / f"{part}-{k:05d}.tar", tuple(rows[i] for i in chosen)) for k, chosen in enumerate(dealt)]


def _index_file(shard: Path) -> Path:
    return shard.with_suffix(".json")


def _write(task: _Task) -> str:
    cv2.setNumThreads(1)
    part = task.file.with_name(f"{task.file.name}.{os.getpid()}.part")
    try:
        with tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
            for number, (clip, i) in enumerate(task.rows):
                pair = clip.pair(i)
                about = {
                    "clip": clip.clip.name,
                    "fake": clip.clip.fake,
                    "method": clip.clip.method,
                    "track": pair.track,
                    "pts_s": pair.pts_s,
                    "gap_s": pair.gap_s,
                    "face_px": pair.face_px,
                    "box": list(pair.box),
                }
                members = {"first.png": _png(pair.first), "second.png": _png(pair.second)}
                for name, content in {**members, "json": json.dumps(about).encode()}.items():
                    entry = tarfile.TarInfo(f"{number:08d}.{name}")
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))
        with tarfile.open(part) as tar:
            places = [[m.offset_data, m.size] for m in tar]
        part.replace(task.file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"{task.file} cannot be written ({error.strerror}): free some space") from error
    rows = [[*places[k], *places[k + 1], *places[k + 2]] for k in range(0, len(places), 3)]
    write_atomically(_index_file(task.file), lambda to: to.write(json.dumps(rows).encode()))
    return task.file.name


def _png(crop: Image) -> bytes:
    # Level 1: a fifth larger than the default, at a quarter of its time.
    good, content = cv2.imencode(".png", crop, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not good:
        raise OutputError("OpenCV cannot write PNG pictures here")
    return content.tobytes()


def open_shards(folder: Path, part: str) -> tuple[list[Path], Contract]:
    """The tars of one part, and the contract that their pairs were cut by. Raises DataError unless they are whole."""
    try:
        about = json.loads((folder / "shards.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise DataError(f"{folder} holds no record files: write them with 'flowtell train shards'") from error
    if about.get("format") != FORMAT or part not in about.get("shards", {}):
        raise DataError(f"{folder} holds no part '{part}' of record files in format {FORMAT}: write them again")
    files = [folder / f"{part}-{k:05d}.tar" for k in range(about["shards"][part])]
    if absent := [file.name for file in files if not _index_file(file).is_file()]:
        raise DataError(f"{folder} lacks {absent[0]} of {len(files)}: run 'flowtell train shards' again to go on")
    return files, Contract.from_json(json.dumps(about["contract"]))


def read_shard(file: Path) -> Iterator[Packed]:
    """The samples of one shard in order, by reading it once from front to end."""
    damaged = f"{file} is damaged: delete it and its .json, and run 'flowtell train shards' again"
    count = 0
    try:
        with tarfile.open(file, "r|") as tar:
            held: list[bytes] = []
            for member in tar:
                content = tar.extractfile(member)
                held.append(content.read() if content else b"")
                if len(held) == 3:
                    yield Packed(held[0], held[1], json.loads(held[2]))
                    held, count = [], count + 1
    except (tarfile.TarError, json.JSONDecodeError) as error:
        raise DataError(damaged) from error
    # A tar that was cut off between two members reads as a shorter one.
    if count != len(json.loads(_index_file(file).read_text(encoding="utf-8"))):
        raise DataError(damaged)


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
        self._places = [np.array(json.loads(_index_file(f).read_text()), np.int64) for f in self._files]
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
    """A recipe's data function: ``--set data=train.shards:samples`` with a folder of 'flowtell train shards'."""
    return ShardSamples(source, part, contract, recipe.augment if part == "train" else None, recipe.seed)
