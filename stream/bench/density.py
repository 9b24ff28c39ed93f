"""``flowtell bench density``: how many live cameras one process on this machine watches, verdicts in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from stream.errors import SourceNotFound, UsageError

from .cameras import WARM_UP_S, Trial
from .runs import Figures, child, machine, medians, report, table, text


def density(
    clip: Path | None = None,
    *,
    rtsp: tuple[str, ...] = (),
    cameras: tuple[int, ...] = (),
    most: int = 32,
    model: Path | None = None,
    face_model: Path | None = None,
    seconds: float = 20.0,
    runs: int = 1,
    latency_ms: float = 300.0,
    on_time: float = 0.99,
    out: Path | None = None,
) -> None:
    """Find the largest number of cameras whose verdicts come in time.

    Parameters
    ----------
    clip
        Every camera plays this file at its own speed; it should be as long as a trial.
    rtsp
        Instead: the address that every camera opens.
    cameras
        Try these numbers instead of searching for the largest.
    most
        Search up to so many.
    model
        An exported model; the bundled one by default.
    face_model
        YuNet's file; Haar by default.
    seconds
        Length of a trial.
    runs
        Trials of each number; figures are medians.
    latency_ms
        A number fits if 95 % of frames have their verdict so soon after they arrive,
    on_time
        and this share of the planned pairs was scored.
    out
        Write the JSON there instead of printing it.
    """
    if (clip is None) == (not rtsp):
        raise UsageError("give a clip, or --rtsp URL, and not both")
    if clip is not None and not clip.is_file():
        raise SourceNotFound(f"no file {clip}: give a clip to measure on")
    if runs < 1 or most < 1 or min(cameras, default=1) < 1 or seconds <= WARM_UP_S:
        raise UsageError(f"--runs, --most and --cameras must be at least 1, --seconds more than {WARM_UP_S:g}")
    uri = rtsp[0] if clip is None else str(clip)
    tried: dict[int, Figures] = {}

    def fits(count: int) -> bool:
        trial = Trial((uri,) * count, seconds, text(model), text(face_model))
        taken = [child("stream.bench.cameras", asdict(trial), timeout_s=seconds + 120) for _ in range(runs)]
        tried[count] = {**medians(taken), "fits": False}
        tried[count]["fits"] = in_time(tried[count], latency_ms, on_time)
        return bool(tried[count]["fits"])

    largest = max((count for count in cameras if fits(count)), default=0) if cameras else search(fits, most)
    table(
        f"live cameras; limits: p95 {latency_ms:g} ms, {on_time:.0%} of the planned pairs",
        ["cameras", "p50 ms", "p95 ms", "p99 ms", "pairs on time", "worst", "dropped", "cores", "peak MB", "fits"],
        [_row(count, tried[count]) for count in sorted(tried)],
    )
    trials = {str(count): tried[count] for count in sorted(tried)}
    report({"largest": largest, "seconds": seconds, "runs": runs, "machine": machine(), "trials": trials}, out)


def in_time(figures: Figures, latency_ms: float, on_time: float) -> bool:
    """Whether a trial kept both limits, and no camera failed."""
    p95 = figures["latency_ms"]["p95"]
    return p95 is not None and p95 <= latency_ms and figures["pairs_on_time"] >= on_time and not figures["errors"]


def search(fits: Callable[[int], bool], most: int) -> int:
    """The largest number up to ``most`` that fits, 0 if none does: doubled until it fails, then halved between."""
    good, bad = 0, most + 1
    count = 1
    while count < bad and fits(count):
        good, count = count, min(2 * count, most)
        if good == most:
            return most
    bad = min(bad, count)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


def _row(count: int, figures: Figures) -> list[object]:
    late = figures["latency_ms"]
    return [
        count,
        late["p50"],
        late["p95"],
        late["p99"],
        f"{figures['pairs_on_time']:.1%}",
        f"{figures['worst_camera_on_time']:.1%}",
        figures["dropped"],
        figures["cores_used"],
        figures["peak_mb"],
        "yes" if figures["fits"] else "no",
    ]
