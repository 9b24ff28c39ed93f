"""The whole judgement of a model: clips scored, changed, scored again; figures, probes and their meaning."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from stream.contract import Contract
from stream.errors import DataError, OutputError
from train.evaluate import write_json
from train.manifest import Clip, read_manifest

from . import figures
from .alarms import THRESHOLDS, curve
from .changes import BENIGN, ROBUSTNESS
from .groups import group_of
from .meaning import meanings
from .page import page
from .scoring import BACKGROUND, PLAIN, RESAMPLED, Look, Setting, look_at_all


@dataclass(frozen=True, slots=True)
class Options:
    """How thorough a judgement is.

    ``quick`` leaves the changes and probes out; ``workers`` processes work side by side; ``only`` takes the clips alone
    whose path starts with it; ``sampling`` says how intervals are drawn.
    """

    quick: bool = False
    workers: int = 1
    only: str = ""
    sampling: figures.Sampling = field(default_factory=figures.Sampling)


def write_report(
    setting: Setting, manifest: Path, folder: Path, options: Options | None = None, console: Console | None = None
) -> dict[str, Any]:
    """Judge a model on a manifest's clips; writes ``report.html`` and ``report.json`` and gives the latter's value.

    Raises:
        DataError: a manifest that cannot be used, or no clip of one class could be scored.
        ModelError, ContractError: the model. OutputError: ``folder`` cannot be written.
    """
    options, console = options or Options(), console or Console(stderr=True)
    clips = read_manifest(manifest, only=options.only)
    contract = setting.open().contract
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made ({error.strerror}): choose another place") from error
    value = judge(setting, contract, clips, options, console)
    value = (
        {"model": setting.model.name, "manifest": f"{manifest.name} {options.only}".strip()}
        | value
        | {"meaning": meanings(value)}
    )
    write_json(value, folder / "report.json")
    try:
        (folder / "report.html").write_text(page(value), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}): choose another place") from error
    return value


def judge(
    setting: Setting, contract: Contract, clips: Sequence[Clip], options: Options, console: Console
) -> dict[str, Any]:
    """Score the clips and work out every figure of the report; figures that cannot be told are NaN."""
    began = time.monotonic()
    looks = _score(setting, [(clip, (PLAIN,)) for clip in clips], options.workers, console, "clips")
    took_s = time.monotonic() - began
    found = figures.judged(looks, options.sampling.seed)
    if found.fake.all() or not found.fake.any():
        raise DataError("no clip of one class could be scored: both real and fake clips with a visible face are needed")
    sampling, thresholds = options.sampling, contract.thresholds
    value: dict[str, Any] = {
        "contract": {k: v for k, v in asdict(contract).items() if k not in ("scores", "flow_options")},
        "clips": {
            "real": sum(not c.fake for c in clips),
            "fake": sum(c.fake for c in clips),
            "people": len(np.unique(found.group)),
            "not_scored": {s.scores.clip.name: s.scores.reason for s in looks if s.scores.reason},
        },
        "rate_hz": setting.rate_hz,
        "faces": setting.faces().name,
        "sampling": asdict(sampling),
        "overall": figures.overall(found, sampling),
        "paired": figures.paired(found, sampling, thresholds),
        "groups": figures.by_group(found, sampling, thresholds),
        "methods": figures.by_method(found, sampling, thresholds),
        "thresholds": figures.threshold_table(found, sampling),
        "calls": figures.calls([look.scores for look in looks], thresholds),
        "alarms": _alarms(looks, contract),
        "scores": [_row(look) for look in looks],
    }
    if not options.quick:
        value |= _changes(setting, contract, looks, found, options, console, took_s)
    value["took_s"] = time.monotonic() - began
    console.print(f"judged {len(clips)} clips in {_minutes(value['took_s'])}")
    return value


def _changes(
    setting: Setting,
    contract: Contract,
    plain: Sequence[Look],
    found: figures.Judged,
    options: Options,
    console: Console,
    took_s: float,
) -> dict[str, Any]:
    clips = [look.scores.clip for look in plain]
    reals = [clip for clip in clips if not clip.fake]
    everywhere, on_reals = (*ROBUSTNESS, BACKGROUND), (*BENIGN, RESAMPLED)
    count = len(everywhere) * len(clips) + len(on_reals) * len(reals)
    # A change costs about half as much again as the scoring that follows it.
    expected_s = 1.5 * took_s / len(clips) * count
    console.print(f"{len(everywhere)} changes of all clips and {len(on_reals)} of reals: about {_minutes(expected_s)}")
    tasks: list[tuple[Clip, tuple[str, ...]]] = [(c, everywhere[i::3]) for c in clips for i in range(3)]
    tasks += [(c, on_reals[i::2]) for c in reals for i in range(2)]
    looks = _score(setting, tasks, options.workers, console, "changed clips")

    def figure(name: str) -> dict[str, Any]:
        changed = [look for look in looks if look.change == name]
        return figures.change(found, changed, options.sampling, contract.thresholds)

    return {
        "robustness": {name: figure(name) for name in ROBUSTNESS},
        "benign": {name: figure(name) for name in BENIGN},
        "shortcuts": {name: figure(name) for name in (BACKGROUND, RESAMPLED)},
    }


def _score(
    setting: Setting, tasks: Sequence[tuple[Clip, Sequence[str]]], workers: int, console: Console, what: str
) -> list[Look]:
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns, console=console) as progress:
        bar = progress.add_task(what, total=sum(len(changes) for _, changes in tasks))
        return look_at_all(tasks, setting, workers, lambda count: progress.advance(bar, count))


def _alarms(looks: Sequence[Look], contract: Contract) -> dict[str, Any]:
    real = [look for look in looks if not look.scores.clip.fake]
    face_s = sum(look.face_s for look in real)
    fakes = [look.alarms for look in looks if look.scores.clip.fake]
    thresholds = (*THRESHOLDS, contract.thresholds.fake_enter)
    *points, own = (asdict(point) for point in curve(thresholds, [look.alarms for look in real], fakes, face_s))
    return {
        "real_face_hours": face_s / 3600,
        "window_s": contract.window_s,
        "curve": points,
        "contract": own,
        "reals_with_alarm": sum(look.alarms[-1].count > 0 for look in real),
    }


def _row(look: Look) -> dict[str, Any]:
    scores = look.scores
    return {
        "clip": scores.clip.name,
        "label": scores.clip.label,
        "method": scores.clip.method,
        "group": group_of(scores.clip.method) if scores.clip.fake else "",
        "p_fake": scores.mean,
        "peak": look.range[1] if look.range else None,
        "pairs": len(scores.p_fake),
        "face_px": scores.face_px,
        "first_alarm_s": look.alarms[-1].first_s,
        "reason": scores.reason,
    }


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"
