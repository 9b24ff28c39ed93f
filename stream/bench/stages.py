"""One file through the real pipeline with a stop-watch at every seam: CPU seconds by stage.

Run as ``python -m stream.bench.stages JSON``, so that each run is a process of its own.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from stream.faces import FaceDetector, find_faces
from stream.model import Device, Model, use_threads
from stream.pairing import Pairer
from stream.pipeline import detect
from stream.records import Face, Frame, Image
from stream.repeats import Repeats
from stream.scoring import PairScorer
from stream.sources import read_file
from stream.tracking import Tracker
from stream.verdict import Window

from .runs import Figures, path, peak_mb

P = ParamSpec("P")
T = TypeVar("T")
STAGES = ("decode", "faces", "pair", "fuse", "model", "repeats", "verdict")


class StopWatch:
    """Adds up this thread's CPU time by stage; what runs inside another stage is taken off that one."""

    def __init__(self) -> None:
        self.spent_s: dict[str, float] = defaultdict(float)
        self._inside: list[float] = []

    def wrap(self, stage: str, call: Callable[P, T]) -> Callable[P, T]:
        """``call``, timed."""

        def timed(*args: P.args, **kwargs: P.kwargs) -> T:
            began_s = time.thread_time()
            self._inside.append(0.0)
            try:
                return call(*args, **kwargs)
            finally:
                lasted_s = time.thread_time() - began_s
                self.spent_s[stage] += lasted_s - self._inside.pop()
                if self._inside:
                    self._inside[-1] += lasted_s

        return timed

    def items(self, stage: str, values: Iterable[T]) -> Iterator[T]:
        """``values``, with the time that each takes to come."""
        following = iter(values)
        step = self.wrap(stage, lambda: next(following, None))
        while (value := step()) is not None:
            yield value


class _TimedFaces:
    """A face detector, timed."""

    def __init__(self, faces: FaceDetector, watch: StopWatch) -> None:
        self.name = faces.name
        self._call = watch.wrap("faces", faces)

    def __call__(self, frame: Frame) -> list[Face]:
        return self._call(frame)


class _TimedModel:
    """A model, timed and its images counted; its flow is its own."""

    def __init__(self, model: Model, watch: StopWatch) -> None:
        self.flow = model.flow
        self.images = 0
        self._call = watch.wrap("model", model)

    def __call__(self, images: Sequence[Image]) -> NDArray[np.float32]:
        self.images += len(images)
        return self._call(images)


@dataclass(frozen=True, slots=True)
class Way:
    """How a clip is watched: the model (None: the bundled one), scored pairs a second (None: all), the faces."""

    model: str | None = None
    rate_hz: float | None = 10.0
    every_frame: bool = False
    face_model: str | None = None
    device: Device = "auto"


def decode(clip: Path, frames: int | None = None) -> Figures:
    """The cost of decoding a clip and doing nothing with it."""
    began_s, cpu_s = time.perf_counter(), time.process_time()
    count = sum(1 for _ in islice(read_file(clip), frames))
    wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    return {"frames": count, **_per_frame(cpu_s, wall_s, count), "peak_mb": peak_mb()}


def measure(clip: Path, way: Way, frames: int | None = None) -> Figures:
    """CPU and wall milliseconds of a frame, CPU also by stage, and how many pairs were scored.

    The model runs on one thread: what is counted is work, not how soon it is over. What other threads do
    is the decoder's. A recurrent network's steps are counted with the fusion.
    """
    use_threads()
    watch, model = StopWatch(), Model(path(way.model), way.device, threads=1)
    timed = _TimedModel(model, watch)
    tracker, pairer, window = Tracker(), Pairer(model.contract, way.rate_hz), Window(model.contract)
    tracker.update = watch.wrap("pair", tracker.update)  # type: ignore[method-assign]
    pairer.update = watch.wrap("pair", pairer.update)  # type: ignore[method-assign]
    window.update = watch.wrap("verdict", window.update)  # type: ignore[method-assign]
    scorer = PairScorer(model if model.contract.memory else timed, model.contract)
    faces = _TimedFaces(find_faces(path(way.face_model), way.every_frame), watch)
    repeats = watch.wrap("repeats", Repeats())
    began_s, cpu_s, main_s = time.perf_counter(), time.process_time(), time.thread_time()
    seen = watch.items("decode", islice(read_file(clip), frames))
    count = sum(1 for _ in detect(seen, faces, tracker, pairer, watch.wrap("fuse", scorer), window, repeats))
    wall_s, cpu_s, main_s = (
        time.perf_counter() - began_s,
        time.process_time() - cpu_s,
        time.thread_time() - main_s,
    )
    watch.spent_s["decode"] += max(0.0, cpu_s - main_s)
    stages = {name: round(watch.spent_s[name] / max(count, 1) * 1e3, 3) for name in STAGES}
    whole = _per_frame(cpu_s, wall_s, count)
    stages["rest"] = round(max(0.0, whole["cpu_ms"] - sum(stages.values())), 3)
    return {
        "frames": count,
        "pairs": timed.images,
        **whole,
        "stages_ms": stages,
        "peak_mb": peak_mb(),
        "device": model.device,
    }


def _per_frame(cpu_s: float, wall_s: float, frames: int) -> Figures:
    count = max(frames, 1)
    return {"cpu_ms": round(cpu_s / count * 1e3, 3), "wall_ms": round(wall_s / count * 1e3, 3)}


def main(options: Figures) -> Figures:
    """One run: ``clip``, ``frames``, and ``way`` (None: decoding alone)."""
    clip, frames = Path(options["clip"]), options.get("frames")
    return decode(clip, frames) if options["way"] is None else measure(clip, Way(**options["way"]), frames)


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
