"""Several live cameras in one process, watched as ``flowtell watch`` does it: latency, pairs and memory.

Run as ``python -m stream.bench.cameras JSON``, so that each trial is a process of its own.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass, field

from stream.batching import share
from stream.faces import find_faces
from stream.live import Judge, LiveLoop
from stream.looks import Look
from stream.model import Device, Model, use_threads
from stream.records import Reason
from stream.scoring import RATE_HZ
from stream.sources import SourceOptions, open_source

from .runs import Figures, path, peak_mb, percentiles

WARM_UP_S = 2.0  # opening, first pictures and first faces are not what is measured


@dataclass(frozen=True, slots=True)
class Trial:
    """What is watched: files (paced, as live cameras) or addresses, for how long and how."""

    uris: tuple[str, ...]
    seconds: float = 20.0
    model: str | None = None
    face_model: str | None = None
    device: Device = "auto"
    rate_hz: float = RATE_HZ


@dataclass(slots=True)
class Seen:
    """What one camera's looks told; every time is an argument."""

    rate_hz: float
    from_s: float
    latency_ms: list[float] = field(default_factory=list)
    age_ms: list[float] = field(default_factory=list)
    planned: float = 0.0
    scored: int = 0
    frames: int = 0
    first_verdict_s: float | None = None
    _first_s: float | None = None
    _last: Look | None = None
    _scored_before: int = 0

    def take(self, look: Look, scored: int) -> None:
        """A look of the loop, which has scored so many pairs since its start."""
        frame, before = look.frame, self._last
        if frame is None or not look.fresh:
            return
        self._first_s = frame.arrived_s if self._first_s is None else self._first_s
        decided = any(v.reason is not Reason.WARMING_UP for v in look.verdicts)
        if self.first_verdict_s is None and decided:
            self.first_verdict_s = look.now_s - self._first_s
        if look.now_s >= self.from_s and before is not None and before.frame is not None:
            self.frames += 1
            self.latency_ms.append((look.now_s - frame.arrived_s) * 1e3)
            # Until this moment the picture before was the newest that had its verdicts.
            self.age_ms.append((look.now_s - before.frame.arrived_s) * 1e3)
            self.planned += len(look.verdicts) * (frame.pts_s - before.frame.pts_s) * self.rate_hz
            self.scored += scored - self._scored_before
        self._scored_before = scored
        self._last = look


def watch_cameras(trial: Trial) -> Figures:
    """Watch every camera at once; figures over all of them, after the warm-up."""
    count = len(trial.uris)
    model = Model(path(trial.model), trial.device, use_threads(count))
    score = share(model, count)
    from_s = time.monotonic() + WARM_UP_S
    seen = [Seen(trial.rate_hz, from_s) for _ in trial.uris]
    loops: list[LiveLoop] = []
    for k, uri in enumerate(trial.uris):
        source = open_source(uri, SourceOptions(realtime=True))
        judge = Judge(score, model.contract, find_faces(path(trial.face_model)), trial.rate_hz, model.device)
        loops.append(LiveLoop(f"camera {k + 1}", source, judge, lambda look, k=k: seen[k].take(look, loops[k].scored)))  # type: ignore[misc]
    threads = [threading.Thread(target=loop.run, name=loop.camera, daemon=True) for loop in loops]
    for k, thread in enumerate(threads):
        thread.start()
        loops[k].done.wait(0.013 if k + 1 < count else WARM_UP_S)  # real cameras do not tick together
    began_s, cpu_s = time.monotonic(), time.process_time()
    deadline_s = began_s + trial.seconds
    while time.monotonic() < deadline_s and not all(loop.done.wait(0.2) for loop in loops[:1]):
        pass
    lasted_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
    for loop in loops:
        loop.stop()
    for thread in threads:
        thread.join(10)
    return {"cameras": count, **_summary(seen, loops, lasted_s, cpu_s), "device": model.device}


def _summary(seen: list[Seen], loops: list[LiveLoop], lasted_s: float, cpu_s: float) -> Figures:
    planned, scored = sum(s.planned for s in seen), sum(s.scored for s in seen)
    shares = [min(1.0, s.scored / s.planned) if s.planned else 0.0 for s in seen]
    dropped = sum(loop.latest.status.dropped for loop in loops if loop.latest is not None)
    first = [s.first_verdict_s for s in seen if s.first_verdict_s is not None]
    return {
        "latency_ms": percentiles(v for s in seen for v in s.latency_ms),
        "age_ms": percentiles(v for s in seen for v in s.age_ms),
        "pairs_planned": round(planned),
        "pairs_scored": scored,
        "pairs_on_time": round(min(1.0, scored / planned), 4) if planned else 0.0,
        "worst_camera_on_time": round(min(shares), 4),
        "frames": sum(s.frames for s in seen),
        "dropped": dropped,
        "first_verdict_s": round(max(first), 3) if len(first) == len(seen) else None,
        "cores_used": round(cpu_s / lasted_s, 2),
        "peak_mb": peak_mb(),
        "errors": sorted({str(loop.error) for loop in loops if loop.error is not None}),
    }


if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    print(json.dumps(watch_cameras(Trial(**{**options, "uris": tuple(options["uris"])}))))
