"""``flowtell bench latency``: from a frame's arrival to its verdict, the age of what is shown, and start-up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from stream.errors import SourceNotFound, UsageError
from stream.looks import Play
from stream.redact import redact_url

from .cameras import Trial
from .runs import Figures, child, machine, medians, report, table, text


def latency(
    clip: Path | None = None,
    *,
    rtsp: str | None = None,
    model: Path | None = None,
    face_model: Path | None = None,
    seconds: float = 20.0,
    runs: int = 3,
    out: Path | None = None,
) -> None:
    """Measure how late verdicts are.

    Parameters
    ----------
    clip
        A file played at its own speed, as a webcam would give it; start-up is measured on it too.
    rtsp
        The address of an RTSP camera, measured as well.
    model
        An exported model; the bundled one by default.
    face_model
        YuNet's file; Haar by default.
    seconds
        Length of a run.
    runs
        Runs of each, in turn; figures are medians.
    out
        Write the JSON there instead of printing it.
    """
    if clip is None and rtsp is None:
        raise UsageError("give a clip, --rtsp URL, or both")
    if clip is not None and not clip.is_file():
        raise SourceNotFound(f"no file {clip}: give a clip to measure on")
    if runs < 1 or seconds < 1:
        raise UsageError("--runs and --seconds must be at least 1")
    sources = {name: uri for name, uri in (("paced file", clip and str(clip)), ("rtsp", rtsp)) if uri}
    taken: dict[str, list[Figures]] = {name: [] for name in sources}
    starts: list[Figures] = []
    for _ in range(runs):
        for name, uri in sources.items():
            trial = Trial((uri,), seconds, text(model), text(face_model))
            taken[name].append(child("stream.bench.cameras", asdict(trial), timeout_s=seconds + 120))
        if clip is not None:
            starts.append({"first_frame_s": start_up(clip, model)})
    middle = {name: medians(figures) for name, figures in taken.items()}
    table(
        f"milliseconds from a frame's arrival to its verdict, medians of {runs} runs",
        ["", "p50", "p95", "p99", "age p50", "age p95", "age p99", "pairs on time", "first verdict s"],
        [_row(name, figures) for name, figures in middle.items()],
    )
    named = {name: redact_url(uri) for name, uri in sources.items()}
    started = medians(starts) if starts else None
    report({"sources": named, "machine": machine(), "runs": runs, "latency": middle, "start_up": started}, out)


def start_up(clip: Path, model: Path | None, limit_s: float = 60.0) -> float:
    """Seconds from the command ``flowtell watch CLIP`` to the first frame that it has judged.

    Raises:
        UsageError: it ended without one.
    """
    command = [sys.executable, "-c", "from stream.cli import main; main()", "watch", str(clip), "--json", "-"]
    command += ["--no-window", "--realtime", *([] if model is None else ["--model", str(model)])]
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    began_s = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, "PYTHONPATH": paths}
    ) as process:
        try:
            for line in process.stdout or ():
                record = json.loads(line)
                if record["type"] == "status" and record["play"] == Play.PLAYING:
                    return round(time.monotonic() - began_s, 3)
                if time.monotonic() - began_s > limit_s:
                    break
        finally:
            process.kill()
    raise UsageError(f"flowtell watch {clip.name} judged no frame: watch it by hand to see why")


def _row(name: str, figures: Figures) -> list[object]:
    late, age = figures["latency_ms"], figures["age_ms"]
    return [
        name,
        *(late[p] for p in ("p50", "p95", "p99")),
        *(age[p] for p in ("p50", "p95", "p99")),
        f"{figures['pairs_on_time']:.1%}",
        figures["first_verdict_s"],
    ]
