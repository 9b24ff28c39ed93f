"""End-point error and time of flow functions on held-out synthetic motion: Farneback, DIS, and learned networks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from cyclopts import Parameter
from cyclopts.validators import Number

from stream.bench.runs import machine, report, table
from stream.flows import FlowFunction, LearnedFlow, dis, farneback

from .evaluate import plain
from .motion import moving_pair, picture_files, read_picture


@dataclass(frozen=True, slots=True)
class Judged:
    """Of one flow: mean end-point error in pixels; the same over pairs whose mean motion is below 1 px and above
    (NaN where there are none), and CPU milliseconds a pair of one core."""

    name: str
    error_px: float
    slow_px: float
    fast_px: float
    cpu_ms: float


def judge_flows(images: Path, flows: dict[str, FlowFunction], size: int = 224, pairs: int = 200) -> list[Judged]:
    """Every flow on the same pairs of the held-out pictures below ``images``. Raises DataError as ``picture_files``."""
    cv2.setNumThreads(1)
    files = picture_files(images, held_out=True)
    errors: dict[str, list[float]] = {name: [] for name in flows}
    spent = dict.fromkeys(flows, 0.0)
    motion: list[float] = []
    for i in range(pairs):
        first, second, truth = moving_pair(read_picture(files[i % len(files)]), size, np.random.default_rng((7, i)))
        motion.append(float(np.linalg.norm(truth, axis=-1).mean()))
        for name, flow in flows.items():
            before = time.thread_time()
            found = flow(first, second)
            spent[name] += time.thread_time() - before
            errors[name].append(float(np.linalg.norm(found - truth, axis=-1).mean()))
    slow = np.array(motion) < 1
    return [
        Judged(name, float(np.mean(e)), _mean(e, slow), _mean(e, ~slow), 1000 * spent[name] / pairs)
        for name, e in errors.items()
    ]


def _mean(errors: Sequence[float], which: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
    chosen = np.array(errors)[which]
    return float(chosen.mean()) if len(chosen) else float("nan")


def flow(
    images: Path,
    *nets: Path,
    size: Annotated[int, Parameter(validator=Number(gte=32))] = 224,
    pairs: Annotated[int, Parameter(validator=Number(gte=1))] = 200,
    out: Path | None = None,
) -> None:
    """End-point error and CPU time of Farneback, DIS and learned networks on synthetic motion of held-out pictures.

    Parameters
    ----------
    images
        A folder of pictures with faces; the tenth that 'train flow' holds out is used.
    nets
        Flow networks, flow.onnx of 'train flow'.
    size
        Side of the crops in pixels.
    pairs
        How many pairs of crops.
    out
        Write the JSON there instead of printing it.
    """
    flows: dict[str, FlowFunction] = {"Farneback": farneback}
    flows |= {f"DIS {preset}": partial(dis, preset=preset) for preset in ("ultrafast", "fast", "medium")}
    # One calling thread, so that its own CPU time is all there is.
    flows |= {str(net): LearnedFlow(net, threads=1) for net in nets}
    judged = judge_flows(images, flows, size, pairs)
    table(
        f"flows on {pairs} pairs of {size} px",
        ["flow", "error px", "below 1 px of motion", "above", "CPU ms a pair"],
        [(r.name, *(f"{v:.3f}" for v in (r.error_px, r.slow_px, r.fast_px)), f"{r.cpu_ms:.2f}") for r in judged],
    )
    rows = [{k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(row).items()} for row in judged]
    report(plain({"machine": machine(), "size_px": size, "pairs": pairs, "flows": rows}), out)
