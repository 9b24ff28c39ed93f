"""``flowtell bench equivalence``: does the fast path say what the plain one says?

Plain: every frame searched for faces, every pair scored, the float32 model. Fast: what ``flowtell check`` does.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stream.check import FileVerdict, check_file
from stream.errors import DataError
from stream.faces import find_faces
from stream.model import Device, Model, use_threads
from stream.records import State
from stream.scoring import RATE_HZ

from .runs import Figures, machine, report, table


@dataclass(frozen=True, slots=True)
class Both:
    """One clip, judged on both paths."""

    plain: FileVerdict
    fast: FileVerdict


def equivalence(
    manifest: Path,
    *,
    plain_model: Path | None = None,
    model: Path | None = None,
    face_model: Path | None = None,
    split: str | None = None,
    device: Device = "auto",
    out: Path | None = None,
) -> None:
    """Judge every clip twice and compare.

    Parameters
    ----------
    manifest
        A CSV with a column "path", relative to its folder.
    plain_model
        The float32 model of the plain path; the same as the fast path's by default.
    model
        The fast path's model; the bundled one by default.
    face_model
        YuNet's file; Haar by default.
    split
        Only clips whose path begins with this folder, "dev" say.
    out
        Write the JSON there instead of printing it.
    """
    use_threads()
    fast = Model(model, device)
    plain = fast if plain_model is None else Model(plain_model, device)
    both = [
        Both(
            check_file(path, plain, find_faces(face_model, every_frame=True), None),
            check_file(path, fast, find_faces(face_model), RATE_HZ),
        )
        for path in clips(manifest, split)
    ]
    figures = agreement(both)
    table(
        f"fast path beside plain path on {figures['clips']} clips",
        ["", "figure"],
        [(name.replace("_", " "), figures[name]) for name in figures if name != "differences"],
    )
    report({"machine": machine(), **figures}, out)


def clips(manifest: Path, split: str | None) -> list[Path]:
    """The videos that a manifest names. Raises DataError where it cannot be read or names none."""
    try:
        with manifest.open(newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{manifest} cannot be read: give a CSV with a column 'path'") from error
    if not rows or not rows[0].get("path"):
        raise DataError(f"{manifest} names no clip: give a CSV with a column 'path'")
    paths = [manifest.parent / row["path"] for row in rows if split is None or row["path"].startswith(f"{split}/")]
    if not paths:
        raise DataError(f"{manifest} names no clip in {split!r}: choose another --split")
    return paths


def agreement(both: Sequence[Both]) -> Figures:
    """Mean and largest difference of P(fake), and how many verdicts turn over (FAKE here, REAL there; any change)."""
    pairs = [(b.plain.p_fake, b.fast.p_fake) for b in both]
    apart = sorted((abs(p - f) for p, f in pairs if p is not None and f is not None), reverse=True)
    decided = {State.REAL, State.FAKE}
    turned = [b for b in both if {b.plain.verdict, b.fast.verdict} == decided]
    changed = [b for b in both if b.plain.verdict is not b.fast.verdict]
    return {
        "clips": len(both),
        "scored_on_both": len(apart),
        "scored_on_one": sum((p is None) != (f is None) for p, f in pairs),
        "mean_difference": round(sum(apart) / len(apart), 4) if apart else None,
        "largest_difference": round(apart[0], 4) if apart else None,
        "verdicts_turned": round(len(turned) / len(both), 4),
        "verdicts_changed": round(len(changed) / len(both), 4),
        "differences": [
            {
                "file": Path(b.fast.file).name,
                "plain": b.plain.p_fake,
                "fast": b.fast.p_fake,
                "plain_verdict": b.plain.verdict.value,
                "fast_verdict": b.fast.verdict.value,
            }
            for b in both
        ],
    }
