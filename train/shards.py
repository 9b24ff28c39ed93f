"""Record files: the pairs of a store in sharded tars (WebDataset's layout), for stores that no disk cache holds.

OUT holds ``shards.json`` (format, contract, parts and their shards), ``PART-00000.tar`` and so on, and beside each tar
``PART-00000.json``, where its pictures lie. A sample is three members, ``KEY.first.png``, ``KEY.second.png``
(lossless) and ``KEY.json``. The pairs of a part are dealt to its shards at random, so that each shard alone is a
fair sample; each tar appears whole or not at all, and an interrupted writing goes on where it was.

``train.shard_stream`` reads them.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from stream.contract import Contract
from stream.errors import DataError, OutputError
from stream.records import Box, Image, Pair

from .store import StoredClip, write_atomically

FORMAT = 1


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
    todo = [task for task in tasks if not index_file(task.file).is_file()]
    if workers < 2 or len(todo) < 2:
        for task in todo:
            on_shard(_write(task), len(tasks))
        return len(todo)
    # Spawned, not forked: OpenCV's threads do not survive a fork.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
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


def index_file(shard: Path) -> Path:
    """Where a shard's index lies: for each sample, offset and size in bytes of its three members."""
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
    write_atomically(index_file(task.file), lambda to: to.write(json.dumps(rows).encode()))
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
    if absent := [file.name for file in files if not index_file(file).is_file()]:
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
    if count != len(json.loads(index_file(file).read_text(encoding="utf-8"))):
        raise DataError(damaged)
