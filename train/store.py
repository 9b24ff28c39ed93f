"""The pair store: crops of faces before flow, one file a clip, made by ``train prepare`` and read by ``train fit``.

A store is a folder:

``store.json``     format version, the contract whose crop fields the pairs were cut by, sampling, face detector
``clips.json``     every clip that was asked for, the fields of ``train.manifest.Clip``
``pairs/KEY.npy``  one record a pair, numpy structured dtype ``record(size)``: pts_s, gap_s (seconds), track,
                   face_px and box (pixels of the frame), first and second (S, S, 3) BGR uint8

Each file appears whole or not at all, so that an interrupted preparation goes on where it was. A store serves every
input form (fused, rgb, flow, stack), for flow and fusion come after it; size, margin, box and gap must agree.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from stream.contract import Contract
from stream.errors import DataError, ModelError, OutputError
from stream.records import Box, Pair

from .manifest import Clip

FORMAT = 1
CUT_BY = ("size", "face_box", "margin", "gap_s", "gap_min_s", "gap_max_s")
"""The fields of the contract that decide how a pair is cut."""


def record(size: int) -> np.dtype[np.void]:
    """One pair on disk."""
    crop = ("u1", (size, size, 3))
    return np.dtype(
        [
            ("pts_s", "<f8"),
            ("gap_s", "<f8"),
            ("track", "<i4"),
            ("face_px", "<f4"),
            ("box", "<f8", 4),
            ("first", *crop),
            ("second", *crop),
        ]
    )


def pairs_file(folder: Path, clip: Clip) -> Path:
    """Where a clip's pairs lie: a name that is readable, and unlike any other clip's."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", clip.name).strip("_")[-60:]
    return folder / "pairs" / f"{plain}-{hashlib.sha256(clip.name.encode()).hexdigest()[:10]}.npy"


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Make ``path`` whole or not at all. Raises OutputError where it cannot be written."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise OutputError(f"{path} cannot be written ({error.strerror}): free some space or choose another") from error


def copy_flow(contract: Contract, source: Path, target: Path) -> None:
    """A learned flow lies beside whatever wants it: take its file from one folder to another; any other flow has none.

    Raises:
        ModelError: the file is missing. OutputError: it cannot be written, or would replace another network.
    """
    name = contract.flow_options.get("file")
    if not isinstance(name, str) or source.resolve() == target.resolve():
        return
    file, copy = source / Path(name).name, target / Path(name).name
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ModelError(f"no flow network at {file}: put it beside what was trained with it") from error
    if not copy.is_file():
        write_atomically(copy, lambda out: out.write(content))
    elif copy.read_bytes() != content:
        raise OutputError(f"{copy} is another flow network, which a model beside it may need: choose another folder")


@dataclass(frozen=True, slots=True)
class StoredClip:
    """One clip of a store: ``pairs`` of them lie in ``file``."""

    clip: Clip
    file: Path
    pairs: int

    def pair(self, index: int) -> Pair:
        """The ``index``-th pair, as ``stream.pipeline.pairs`` made it."""
        row = _mapped(self.file)[index]
        return Pair(
            int(row["track"]),
            float(row["pts_s"]),
            float(row["gap_s"]),
            np.array(row["first"]),
            np.array(row["second"]),
            Box(*(float(v) for v in row["box"])),
            float(row["face_px"]),
        )

    def at_rate(self, rate_hz: float | None, start: int = 0) -> Iterator[int]:
        """The pairs, from ``start`` on, that ``Pairer`` would have made at so many a second; None takes every one."""
        rows, every_s = _mapped(self.file), 1 / rate_hz if rate_hz else 0.0
        due_s = float(rows[start]["pts_s"])
        for index in range(start, self.pairs):
            now_s, slack_s = float(rows[index]["pts_s"]), float(rows[index]["gap_s"]) / 2
            if now_s + slack_s >= due_s:
                yield index
                due_s += every_s
                due_s = due_s if due_s > now_s - slack_s else now_s + every_s


@lru_cache(maxsize=256)
def _mapped(file: Path) -> NDArray[np.void]:
    return np.asarray(np.load(file, mmap_mode="r"))


@dataclass(frozen=True, slots=True)
class Store:
    """A store that can be read: its contract and its clips, those that gave at least one pair."""

    folder: Path
    contract: Contract
    clips: tuple[StoredClip, ...]


def settings(contract: Contract, sampling: str, detector: str) -> dict[str, Any]:
    """What ``store.json`` says; two preparations of one store must agree in it."""
    return {"format": FORMAT, "contract": asdict(contract), "sampling": sampling, "faces": detector}


def create(folder: Path, contract: Contract, sampling: str, detector: str, clips: Sequence[Clip]) -> None:
    """Begin a store or go on with one: check that it was made alike, and add ``clips`` to its manifest.

    Raises:
        DataError: the folder holds another store, or something else. OutputError: it cannot be written.
    """
    wanted, file = settings(contract, sampling, detector), folder / "store.json"
    known: dict[str, Clip] = {}
    if file.is_file():
        there = _read_settings(folder)
        refuse_other(there["contract"], contract, str(folder))
        for name in ("format", "sampling", "faces"):
            if there.get(name) != wanted[name]:
                raise DataError(
                    f"{folder} was prepared with {name} {there.get(name)!r}, not {wanted[name]!r}: give another folder"
                )
        known = {clip.name: clip for clip in _clips(folder)}
    elif folder.is_dir() and any(folder.iterdir()):
        raise DataError(f"{folder} is neither empty nor a pair store: give another folder")
    for clip in clips:
        other = known.get(clip.name, clip).path
        # Videos may move between two runs; but two different ones must not share a name.
        if other != clip.path.resolve() and other.is_file() and not other.samefile(clip.path):
            raise DataError(f"{folder} already holds another {clip.name} (from {other}): give another folder")
        known[clip.name] = replace(clip, path=clip.path.resolve())
    rows = [{**asdict(clip), "path": str(clip.path)} for clip in known.values()]
    write_atomically(folder / "clips.json", lambda out: out.write(json.dumps(rows, indent=1).encode()))
    if not file.is_file():
        write_atomically(file, lambda out: out.write(json.dumps(wanted, indent=1).encode()))


def open_store(folder: Path) -> Store:
    """Open a store for reading.

    Raises:
        DataError: no store there, one of another format, damaged, or without pairs.
    """
    contract = Contract.from_json(json.dumps(_read_settings(folder)["contract"]))
    layout, clips = record(contract.size), []
    for clip in _clips(folder):
        file = pairs_file(folder, clip)
        if not file.is_file():
            continue
        try:
            mapped = np.load(file, mmap_mode="r")
        except (ValueError, OSError, EOFError) as error:
            raise DataError(f"{file} is damaged: delete it and run 'flowtell train prepare' again") from error
        if mapped.dtype != layout:
            raise DataError(f"{file} does not hold pairs of {contract.size} px: delete it and prepare again")
        if len(mapped):
            clips.append(StoredClip(clip, file, len(mapped)))
    if not clips:
        raise DataError(f"{folder} holds no pairs: run 'flowtell train prepare MANIFEST {folder}'")
    return Store(folder, contract, tuple(clips))


def is_store(folder: Path) -> bool:
    """Whether a folder is a pair store."""
    return (folder / "store.json").is_file()


def refuse_other(there: dict[str, Any] | Contract, wanted: Contract, what: str) -> None:
    """Raise DataError unless two contracts cut pairs alike."""
    there = asdict(there) if isinstance(there, Contract) else there
    mine = asdict(wanted)
    for name in CUT_BY:
        if there.get(name) != mine[name]:
            raise DataError(
                f"{what} was cut by another contract ({name} {there.get(name)}, not {mine[name]}): "
                "prepare a store for this contract, or change the recipe's"
            )


def _read_settings(folder: Path) -> dict[str, Any]:
    file = folder / "store.json"
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{folder} is no pair store: make one with 'flowtell train prepare'") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{file} cannot be read: prepare the store again in another folder") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT or not isinstance(value.get("contract"), dict):
        raise DataError(f"{folder} is a pair store of another format than {FORMAT}: prepare it again")
    return value


def _clips(folder: Path) -> list[Clip]:
    file = folder / "clips.json"
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        return [Clip(**{**row, "path": Path(row["path"]), "identities": tuple(row["identities"])}) for row in rows]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, TypeError, KeyError) as error:
        raise DataError(f"{file} cannot be read: run 'flowtell train prepare' again") from error
