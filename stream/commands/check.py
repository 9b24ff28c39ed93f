"""``flowtell check``: recorded files, a progress bar, a table or JSON."""

from __future__ import annotations

import json as json_format
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import av
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from stream.check import FileVerdict, check_file
from stream.contract import Contract
from stream.downloads import face_model_file
from stream.errors import FlowtellError, NoFaceError, OutputError, UsageError
from stream.faces import find_faces
from stream.model import Model, use_threads
from stream.records import Frame, State
from stream.redact import redact
from stream.scoring import RATE_HZ

from .options import Device, FaceModel, ModelFile

_TWO_WAY = {State.REAL: "Original", State.FAKE: "Fake"}
_COLOURS = {State.REAL: "green", State.FAKE: "red", State.UNSURE: "yellow"}


def check(
    *files: Path,
    json: bool = False,
    every_pair: bool = False,
    model: ModelFile = None,
    device: Device = "auto",
    face_model: FaceModel = None,
) -> int:
    """Judge recorded files; every frame is read, nothing is dropped.

    Parameters
    ----------
    files
        Videos.
    json
        Print one JSON object for each file, a line each, instead of the table.
    every_pair
        Score every pair of frames instead of 10 a second.
    """
    if not files:
        raise UsageError("give at least one file to check: see flowtell check --help")
    network, detector = Model(model, device, use_threads()), face_model_file(face_model)
    table, code = _table(), 0
    err = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )
    with bar:
        for file in files:
            task = bar.add_task(file.name, total=_frames(file))
            try:
                told = check_file(
                    file, network, find_faces(detector), None if every_pair else RATE_HZ, _advance(bar, task)
                )
                _tell(told, json, table, network.contract)
                if told.p_fake is None:
                    raise NoFaceError(f"{file}: no face could be scored ({told.reason})")
            except (OutputError, BrokenPipeError):
                raise
            except FlowtellError as error:
                bar.console.print(f"flowtell: {redact(str(error))}", markup=False, highlight=False, soft_wrap=True)
                code = code or error.exit_code
            finally:
                bar.remove_task(task)
    if not json and table.row_count:
        Console().print(table)
    return code


def _frames(file: Path) -> int | None:
    """How many frames the file says it has; None where it does not say, or cannot be read."""
    if not file.is_file():
        return None
    try:
        with av.open(str(file)) as container:
            return container.streams.video[0].frames or None if container.streams.video else None
    except (OSError, av.error.FFmpegError):
        return None


def _advance(bar: Progress, task: TaskID) -> Callable[[Frame], None]:
    return lambda frame: bar.advance(task)


def _table() -> Table:
    table = Table()
    table.add_column("file", overflow="fold")
    for name in ("verdict", "P(fake)", "pairs", "faces", "reason"):
        table.add_column(name, justify="right" if name in ("P(fake)", "pairs", "faces") else "left")
    return table


def _tell(told: FileVerdict, json: bool, table: Table, contract: Contract) -> None:
    if json:
        print(json_format.dumps(asdict(told)), flush=True)
        return
    p_fake = "-" if told.p_fake is None else f"{told.p_fake:.3f}"
    # A network without an undecided band answers as the published notebooks did.
    word = _TWO_WAY.get(told.verdict, told.verdict) if contract.two_way else told.verdict
    verdict = f"[{_COLOURS[told.verdict]}]{word}[/]"
    table.add_row(told.file, verdict, p_fake, str(told.pairs), str(len(told.tracks)), told.reason or "")
