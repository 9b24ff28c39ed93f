"""The folder of a training run, which explains itself.

``config.json``      recipe, contract, source and parts, processes, git commit, package versions
``steps.csv``        the loss of every optimiser step
``curves.csv/.png``  loss, soft and honest accuracy of training and validation, epoch by epoch
``last.pt``          where the run stands: everything needed to go on with the same result
``best.pt``          the weights of the best epoch, with contract and recipe: what is evaluated and exported
``evaluation.json``  the figures of ``best.pt`` on the people held out; without any clips there, its validation figures

Every file is replaced whole, so that a kill at any moment leaves the one before.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from stream.errors import UsageError

from .store import write_atomically

PACKAGES = ("flowtell", "numpy", "opencv-python", "av", "torch", "torchvision", "lightning-fabric", "onnx")
Row = Mapping[str, float]


def write_json(path: Path, value: Any) -> None:
    """Raises OutputError where it cannot be written."""
    write_atomically(path, lambda out: out.write((json.dumps(value, indent=1) + "\n").encode()))


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Rows of equal keys, with a head."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_atomically(path, lambda out: out.write(text.getvalue().encode()))


def write_curves(path: Path, rows: Sequence[Row]) -> None:
    """Loss and accuracies by epoch as a PNG, from rows as ``curves.csv`` holds them."""
    # Late: matplotlib costs most of a second, and only this needs it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(11, 4), layout="constrained")
    FigureCanvasAgg(figure)
    loss, accuracy = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    for part, colour in (("train", "tab:blue"), ("valid", "tab:orange")):
        loss.plot(epochs, [row[f"{part}_loss"] for row in rows], "o-", color=colour, label=part, markersize=3)
        for kind, style in (("accuracy", "-"), ("soft_accuracy", "--")):
            values = [row[f"{part}_{kind}"] for row in rows]
            accuracy.plot(epochs, values, style, color=colour, label=f"{part}, {kind.replace('_', ' ')}")
    loss.set(xlabel="epoch", ylabel="cross entropy")
    accuracy.set(xlabel="epoch", ylabel="percent")
    for axes in (loss, accuracy):
        axes.grid(alpha=0.3)
        axes.legend()
    write_atomically(path, lambda out: figure.savefig(out, format="png", dpi=100))


def environment() -> dict[str, Any]:
    """Package versions, Python, system and the commit of flowtell's own code (empty outside a checkout)."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {"python": platform.python_version(), "system": platform.platform(), "packages": versions, **commit()}


def commit() -> dict[str, Any]:
    """``commit`` of the checkout that this code lies in, and whether its files were changed since."""
    here = Path(__file__).parent
    try:
        told = [
            subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, check=True).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "", "changed": False}
    return {"commit": told[0], "changed": bool(told[1])}


def begin(folder: Path, config: Mapping[str, Any], same: Sequence[str], new_epochs: bool = False) -> None:
    """Write ``config.json``, or check that the run which is there agrees in the keys ``same``.

    new_epochs: the recipe may be given other epochs than before; the file then holds the new ones, and those that
    were planned before under ``epochs_before``.

    Raises:
        UsageError: another run lies there. OutputError: the folder cannot be written.
    """
    file = folder / "config.json"
    if file.is_file():
        try:
            there = json.loads(file.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise UsageError(f"{file} is damaged: give another folder") from error
        mine = json.loads(json.dumps(dict(config)))
        epochs = [run.get("recipe", {}).get("epochs") for run in (there, mine)]
        if changed := new_epochs and None not in epochs and epochs[0] != epochs[1]:
            there["epochs_before"] = [*there.get("epochs_before", []), epochs[0]]
            there["recipe"]["epochs"] = epochs[1]
        for key in same:
            if there.get(key) != mine[key]:
                raise UsageError(
                    f"{folder} holds a run with another {key}: give another folder, or the same {key} to go on with it"
                )
        if changed:
            write_json(file, there)
    else:
        write_json(file, dict(config))


def fingerprint(texts: Sequence[str]) -> str:
    """A short hash of what a run learns from, so that it is never resumed on something else."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
