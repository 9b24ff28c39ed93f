"""``flowtell bench pipeline``: CPU time of a frame by stage, beside decoding alone and beside peers."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from stream.errors import SourceNotFound, UsageError

from .picture import draw
from .runs import Figures, child, machine, medians, report, run, table, text
from .stages import STAGES, Way

_PEER = re.compile(r"frames (\d+) pairs (\d+) cpu_s_per_frame ([\d.]+) wall_s_per_frame ([\d.]+)")


def pipeline(
    clip: Path,
    *,
    peer: tuple[Path, ...] = (),
    model: Path | None = None,
    face_model: Path | None = None,
    runs: int = 3,
    frames: int = 250,
    out: Path | None = None,
    picture: Path | None = None,
) -> None:
    """Measure what a frame costs.

    Parameters
    ----------
    clip
        A video with a face in it.
    peer
        A Python script to compare with: called as "FILE CLIP FRAMES", it prints
        "frames N pairs N cpu_s_per_frame X wall_s_per_frame Y" at the end.
    model
        An exported model; the bundled one by default.
    face_model
        YuNet's file; Haar by default.
    runs
        Each candidate runs so many times, in turn; figures are medians.
    frames
        At most so many frames of the clip.
    out
        Write the JSON there instead of printing it.
    picture
        Draw where the time goes, as an SVG.
    """
    if not clip.is_file():
        raise SourceNotFound(f"no file {clip}: give a clip to measure on")
    if runs < 1 or frames < 1:
        raise UsageError("--runs and --frames must be at least 1")
    figures = compare(_candidates(clip, peer, model, face_model, frames), runs)
    result = {"clip": clip.name, "runs": runs, "machine": machine(), **figures}
    table(
        f"CPU milliseconds of a frame of {clip.name}, medians of {runs} runs",
        ["", *figures["candidates"]],
        _rows(figures),
    )
    if picture is not None:
        draw({n: c["stages_ms"] for n, c in figures["candidates"].items() if "stages_ms" in c}, picture)
    report(result, out)


def _candidates(
    clip: Path, peers: tuple[Path, ...], model: Path | None, face_model: Path | None, frames: int
) -> dict[str, Callable[[], Figures]]:
    usual = Way(text(model), face_model=text(face_model))
    ways = {
        "decoding alone": None,
        "default rate": usual,
        "every pair": replace(usual, rate_hz=None),
        "plain": replace(usual, rate_hz=None, every_frame=True),
    }
    out: dict[str, Callable[[], Figures]] = {}
    for name, way in ways.items():
        options = {"clip": str(clip), "frames": frames, "way": way and asdict(way)}
        out[name] = lambda options=options: child("stream.bench.stages", options)  # type: ignore[misc]
    for file in peers:
        out[f"peer {file.stem}"] = lambda file=file: run_peer(file, clip, frames)  # type: ignore[misc]
    return out


def compare(candidates: dict[str, Callable[[], Figures]], runs: int) -> Figures:
    """Run the candidates in turn, ``runs`` times; medians, and each one's ratio to decoding and to each peer."""
    taken: dict[str, list[Figures]] = {name: [] for name in candidates}
    for _ in range(runs):
        for name, once in candidates.items():
            taken[name].append(once())
    middle = {name: medians(figures) for name, figures in taken.items()}
    ours = [name for name in middle if not name.startswith("peer ")]
    floor = middle["decoding alone"]["cpu_ms"]
    return {
        "candidates": middle,
        "times_decoding": {name: round(middle[name]["cpu_ms"] / floor, 2) for name in ours},
        "cheaper_than": {
            peer: {name: round(middle[peer]["cpu_ms"] / middle[name]["cpu_ms"], 1) for name in ours}
            for peer in middle
            if peer not in ours
        },
    }


def run_peer(file: Path, clip: Path, frames: int) -> Figures:
    """A peer's figures, by its own stop-watch, in a process of its own. Raises UsageError where it tells none."""
    told = run([sys.executable, str(file), str(clip), str(frames)], f"the peer {file.name}")
    found = _PEER.search(told)
    if found is None:
        raise UsageError(f"the peer {file.name} did not print its frames, pairs, cpu_s_per_frame and wall_s_per_frame")
    count, pairs, cpu_s, wall_s = found.groups()
    return {
        "frames": int(count),
        "pairs": int(pairs),
        "cpu_ms": round(float(cpu_s) * 1e3, 3),
        "wall_ms": round(float(wall_s) * 1e3, 3),
    }


def _rows(figures: Figures) -> list[list[object]]:
    """One row for each figure, one column for each candidate."""
    columns = figures["candidates"]
    rows: list[list[object]] = [
        [name, *(c.get(key) for c in columns.values())]
        for name, key in (("CPU ms", "cpu_ms"), ("wall ms", "wall_ms"), ("pairs", "pairs"), ("peak MB", "peak_mb"))
    ]
    rows += [
        [f"  {stage}", *(c.get("stages_ms", {}).get(stage) for c in columns.values())] for stage in (*STAGES, "rest")
    ]
    rows.append(["x decoding", *(figures["times_decoding"].get(name) for name in columns)])
    rows += [
        [f"cheaper than {peer}", *(ratios.get(name) for name in columns)]
        for peer, ratios in figures["cheaper_than"].items()
    ]
    return rows
