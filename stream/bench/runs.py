"""What every benchmark shares: runs in processes of their own, the machine, medians, JSON and tables."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from stream.errors import OutputError, UsageError

Figures = dict[str, Any]


def text(path: Path | None) -> str | None:
    """A path as JSON carries it."""
    return None if path is None else str(path)


def path(text: str | None) -> Path | None:
    """And back."""
    return None if text is None else Path(text)


def machine() -> Figures:
    """Where figures were taken: processor, cores that may be used, system and versions."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("flowtell", "av", "opencv-python", "onnxruntime-gpu", "onnxruntime")},
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def child(module: str, options: Figures, timeout_s: float = 600.0) -> Figures:
    """Run ``python -m module JSON`` in a process of its own; the JSON object on its last line of output.

    Raises:
        UsageError: the process failed; its last words are the message.
    """
    command = [sys.executable, "-m", module, json.dumps(options)]
    told = run(command, f"the benchmark's own process ({module})", timeout_s)
    result: Figures = json.loads(told.splitlines()[-1])
    return result


def run(command: Sequence[str], what: str, timeout_s: float = 600.0) -> str:
    """The output of a command. Raises UsageError with its last words where it fails."""
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env={**os.environ, "PYTHONPATH": paths},
        )
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"{what} took more than {timeout_s:g} s: measure on a shorter clip") from error
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise UsageError(f"{what} failed: {words}")
    return done.stdout


def peak_mb() -> float | None:
    """The most memory this process has held, in MB; None on Windows."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - not there on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)


def medians(runs: Sequence[Figures]) -> Figures:
    """Each number's median over several runs, also inside nested objects; anything else as the last run had it."""
    out: Figures = {}
    for key, last in runs[-1].items():
        values = [r[key] for r in runs]
        if isinstance(last, dict):
            out[key] = medians(values)
        elif all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            out[key] = statistics.median(values)
        else:
            out[key] = last
    return out


def percentiles(values: Iterable[float], digits: int = 1) -> Figures:
    """p50, p95, p99 and the largest of some values; None each where there are none."""
    array = np.asarray(list(values), float)
    if not array.size:
        return dict.fromkeys(("p50", "p95", "p99", "most"))
    p50, p95, p99 = (round(float(v), digits) for v in np.percentile(array, [50, 95, 99]))
    return {"p50": p50, "p95": p95, "p99": p99, "most": round(float(array.max()), digits)}


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Show a table on standard error, so that standard output stays JSON."""
    grid = Table(title=title)
    for k, head in enumerate(heads):
        grid.add_column(head, justify="left" if k == 0 else "right")
    for row in rows:
        grid.add_row(*["-" if cell is None else str(cell) for cell in row])
    console = Console(stderr=True)
    (console if console.is_terminal else Console(stderr=True, width=120)).print(grid)


def report(figures: Figures, out: Path | None) -> None:
    """Write the figures as JSON to ``out``, or print them. Raises OutputError where they cannot be written."""
    written = json.dumps(figures, indent=2)
    if out is None:
        print(written)
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(written + "\n")
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({error.strerror}): choose another place") from error
