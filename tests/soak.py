"""Weeks of a camera's life in an hour: reconnects and watching, with file descriptors, threads and memory counted.

    python -m tests.soak --reconnects 10000 --restarts 200 --watch 3600

Each part runs in this one process, one after the other, and prints one JSON line; the exit status is 1 where
anything grew. ``course`` is the resident memory on the way: a leak climbs to the end, warming up does not;
``losses`` is why connections were lost. Not part of the tests that run by themselves.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import av

from stream.sources import LiveSource, Phase, Source, SourceOptions, open_source
from stream.sources.base import Clock, Samples
from stream.sources.network import network_samples
from stream.sources.video import samples, video_stream

from .rtsp import RtspServer, missing

# What an allocator may keep without anything leaking: the first connections fill pools and caches.
SLACK = {"fds": 0, "threads": 0, "rss_mib": 24.0}
RESTART_S = 30.0
COURSE = 12


def measure() -> dict[str, float]:
    """File descriptors, threads and resident memory of this process now."""
    gc.collect()
    rss_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "fds": len(list(Path("/proc/self/fd").iterdir())),
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "rss_mib": round(rss_pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1),
    }


@contextmanager
def counted(part: str, grown: list[str]) -> Iterator[Callable[..., None]]:
    """Measure around a part; calling what it yields takes the start anew (after warming up) or adds to the report."""
    report: dict[str, Any] = {"part": part, "start": measure()}
    began_s = time.monotonic()

    def note(**more: Any) -> None:
        report.update(more)

    yield note
    report["seconds"] = round(time.monotonic() - began_s, 1)
    for _ in range(20):
        report["end"] = measure()
        more = [key for key in report["end"] if report["end"][key] > report["start"][key] + SLACK[key]]
        if not more:
            break
        time.sleep(0.1)  # a connection that is being made has threads and files that the next moment has not
    grown += [f"{part}: {key}" for key in more]
    print(json.dumps(report), flush=True)


class Losses(logging.Handler):
    """Counts why a source was lost, as it logs that."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.counts = Counter[str]()
        logging.getLogger("stream.sources").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.counts[str(record.args[0]) if isinstance(record.args, tuple) and record.args else record.msg] += 1


def in_process(closed: threading.Event) -> Samples:
    """A camera without a network: five pictures of FFmpeg's own, decoded like any other, then the end."""
    with av.open("testsrc2=size=64x48:rate=25:duration=0.2", format="lavfi") as container:
        yield from samples(video_stream(container, "test picture"), container.demux(video=0), live=False)


def reconnects(times: int, grown: list[str]) -> None:
    """An in-process camera that ends ``times`` times; the back-off takes no time."""
    clock = Clock(wait=lambda closed, _: closed.is_set())
    with LiveSource("test picture", in_process, clock=clock) as source:
        _until(source, lambda: source.status.connections >= min(200, times), 600.0)
        with counted("in-process reconnects", grown) as note:
            course, begin = list[float](), source.status.connections
            for part in range(1, COURSE + 1):
                wanted = begin + (times - begin) * part // COURSE
                _until(source, lambda wanted=wanted: source.status.connections >= wanted, 36_000.0)
                course.append(measure()["rss_mib"])
            note(course=course, status=_told(source))


def restarts(times: int, grown: list[str]) -> None:
    """A real RTSP server that is killed and started again ``times`` times, while one source watches.

    The back-off is cut short: a camera that never lasts a minute would be waited for half a minute each time.
    """
    server = RtspServer(gop=5)
    clock = Clock(wait=lambda closed, seconds: closed.wait(min(seconds, 0.1)))
    with server as url, LiveSource("camera", partial(network_samples, url, SourceOptions()), clock=clock) as source:
        waits = list[float]()

        def once() -> None:
            connections = source.status.connections
            server.kill()
            _until(source, lambda: source.status.phase is Phase.LOST, RESTART_S)
            server.start()
            began_s = time.monotonic()
            _until(source, lambda: source.status.connections > connections, RESTART_S)
            waits.append(time.monotonic() - began_s)

        for _ in range(min(5, times)):
            once()
        with counted("RTSP server restarts", grown) as note:
            course = list[float]()
            for index in range(times):
                once()
                if (index + 1) * COURSE // times > len(course):
                    course.append(measure()["rss_mib"])
            note(course=course, slowest_back_s=round(max(waits), 2), status=_told(source))


def watching(seconds: float, grown: list[str]) -> None:
    """A real RTSP server at 720p, watched without a break."""
    with RtspServer(size=(1280, 720), gop=25, kbit=2000) as url, open_source(url, SourceOptions()) as source:
        ages = list[float]()
        _take_for(source, min(20.0, seconds), ages)
        ages.clear()

        def plays() -> bool:  # a decoder has threads of its own: both measurements are to see one
            return source.status.phase is Phase.RUNNING

        _until(source, plays, 60.0)
        losses = Losses()
        with counted("continuous watching", grown) as note:
            course = list[float]()
            for _ in range(COURSE):
                _take_for(source, seconds / COURSE, ages)
                course.append(measure()["rss_mib"])
            _until(source, plays, 60.0)
            note(course=course, losses=losses.counts, frames=len(ages), oldest_frame_s=round(max(ages), 3))
            note(status=_told(source))


def _take_for(source: Source, seconds: float, ages: list[float]) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        if frame := source.next_frame(1.0):
            ages.append(time.monotonic() - frame.arrived_s)


def _until(source: Source, true: Callable[[], bool], limit_s: float) -> None:
    end_s = time.monotonic() + limit_s
    while not true():
        source.next_frame(0.05)
        if time.monotonic() > end_s:
            raise SystemExit(f"waited {limit_s} s in vain: {source.status}")


def _told(source: Source) -> dict[str, Any]:
    status = source.status
    return {key: getattr(status, key) for key in ("connections", "frames", "dropped", "damaged", "error")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reconnects", type=int, default=10_000, help="of an in-process source")
    parser.add_argument("--restarts", type=int, default=200, help="of a real RTSP server")
    parser.add_argument("--watch", type=float, default=3600.0, help="seconds of continuous watching")
    arguments = parser.parse_args()
    grown = list[str]()
    if arguments.reconnects:
        reconnects(arguments.reconnects, grown)
    if (arguments.restarts or arguments.watch) and (lacks := missing()):
        raise SystemExit(lacks)
    if arguments.restarts:
        restarts(arguments.restarts, grown)
    if arguments.watch:
        watching(arguments.watch, grown)
    if grown:
        raise SystemExit("grew: " + ", ".join(grown))


if __name__ == "__main__":
    main()
