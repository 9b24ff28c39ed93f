"""Videos -> a pair store, through the very code that watches live: ``stream.pipeline.pairs``.

Clips are worked on by several processes; what is done is on disk, so that an interrupted run goes on where it was.
A bad file costs one line at the end and nothing else, not even when it crashes its decoder.
"""

from __future__ import annotations

import itertools
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from stream.contract import Contract
from stream.errors import FlowtellError, OutputError, UsageError
from stream.faces import FaceDetector, find_faces
from stream.pairing import Pairer
from stream.pipeline import pairs
from stream.records import Pair
from stream.sources import read_file
from stream.tracking import Tracker

from .manifest import Clip
from .store import create, pairs_file, record, write_atomically


class Sampling(Protocol):
    """Which pairs of a video are kept. Sent to worker processes: a module's function or a small frozen dataclass."""

    @property
    def name(self) -> str:
        """What the store is labelled with; two samplings of one name give the same pairs."""

    def __call__(self, path: Path, contract: Contract, faces: FaceDetector) -> list[Pair]:
        """The pairs of one video in order of time, all of one face; none where no face was found."""


@dataclass(frozen=True, slots=True)
class Evenly:
    """``count`` pairs spread evenly over the face with the most pairs; None keeps every pair.

    Every frame is looked at, as the live stream looks at it, so that the pairs are those which it would have made.
    Fewer than four times ``count`` pairs a face are held in memory, however long the video.
    """

    count: int | None = None

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise UsageError("at least 1 pair a clip must be kept: give --pairs 1 or more, or --pairs all")

    @property
    def name(self) -> str:
        return f"evenly {self.count}" if self.count else "all"

    def __call__(self, path: Path, contract: Contract, faces: FaceDetector) -> list[Pair]:
        return spread(clip_pairs(path, contract, faces), self.count)


@dataclass(slots=True)
class _Kept:
    """Every ``stride``-th of the ``seen`` pairs of one face."""

    seen: int = 0
    stride: int = 1
    pairs: list[Pair] = field(default_factory=list)


def clip_pairs(
    path: Path, contract: Contract, faces: FaceDetector | None = None, rate_hz: float | None = None
) -> Iterator[Pair]:
    """Every pair of every face in a recorded video, in order of time; ``rate_hz`` as for ``Pairer``.

    Raises:
        SourceNotFound: no such file. SourceBroken: not a video.
    """
    for _, _, ready in pairs(read_file(path), faces or find_faces(), Tracker(), Pairer(contract, rate_hz)):
        yield from ready


def spread(found: Iterable[Pair], count: int | None) -> list[Pair]:
    """At most ``count`` of the pairs of the face that has the most (the earliest of equals), evenly over its time."""
    kept: dict[int, _Kept] = {}
    for pair in found:
        face = kept.setdefault(pair.track, _Kept())
        if face.seen % face.stride == 0:
            face.pairs.append(pair)
        face.seen += 1
        if count and len(face.pairs) >= 4 * count:
            face.pairs, face.stride = face.pairs[::2], face.stride * 2
    main = max(kept.values(), key=lambda face: face.seen, default=_Kept()).pairs
    if count is None or len(main) <= count:
        return main
    return [main[i] for i in np.linspace(0, len(main) - 1, count).round().astype(int)]


@dataclass(frozen=True, slots=True)
class Bad:
    """A clip that gave no pairs, and why in one line."""

    clip: Clip
    reason: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a preparation did: clips made now, clips that were there already, and the bad ones."""

    made: int
    kept: int
    bad: tuple[Bad, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """All that a worker needs: where to put the pairs, and how to make them."""

    folder: Path
    contract: Contract
    sampling: Sampling = field(default_factory=Evenly)
    face_model: Path | None = None


def prepare(
    clips: Sequence[Clip], job: Job, workers: int = 2, on_clip: Callable[[Clip], None] = lambda clip: None
) -> Prepared:
    """Fill a pair store from clips; ``on_clip`` is called after each, for a progress bar.

    Raises:
        DataError: the folder holds a store of another contract, sampling or face detector, or something else.
        OutputError: it cannot be written. ModelError: the face model cannot be used.
    """
    detector = find_faces(job.face_model).name  # fails here and now, not in every worker
    create(job.folder, job.contract, job.sampling.name, detector, clips)
    todo = [clip for clip in clips if not pairs_file(job.folder, clip).is_file()]
    for clip in clips:
        if pairs_file(job.folder, clip).is_file():
            on_clip(clip)
    bad: list[Bad] = []
    for clip, reason in _in_parallel(todo, job, workers):
        if reason:
            bad.append(Bad(clip, reason))
        on_clip(clip)
    order = {clip.name: i for i, clip in enumerate(clips)}
    return Prepared(len(todo) - len(bad), len(clips) - len(todo), tuple(sorted(bad, key=lambda b: order[b.clip.name])))


def prepare_clip(clip: Clip, job: Job) -> str:
    """Make the pairs of one clip; returns why it gave none, or nothing. Raises OutputError."""
    cv2.setNumThreads(1)  # one process a core: more threads would only be in each other's way
    try:
        found = job.sampling(clip.path, job.contract, find_faces(job.face_model))
    except OutputError:
        raise
    except (FlowtellError, cv2.error) as error:
        return " ".join(str(error).split())
    if not found:
        return "no face was found for long enough"
    rows = np.zeros(len(found), record(job.contract.size))
    for row, pair in zip(rows, found, strict=True):
        row["pts_s"], row["gap_s"], row["track"] = pair.pts_s, pair.gap_s, pair.track
        row["face_px"], row["box"] = pair.face_px, tuple(pair.box)
        row["first"], row["second"] = pair.first, pair.second
    write_atomically(pairs_file(job.folder, clip), lambda out: np.save(out, rows))
    return ""


def _in_parallel(clips: Sequence[Clip], job: Job, workers: int) -> Iterator[tuple[Clip, str]]:
    """Each clip with its outcome. A process that dies takes its pool along: whoever was in it is tried again alone."""
    queue, again = deque(clips), deque[Clip]()
    while queue or again:
        alone = bool(again)
        source = again if alone else queue
        running: dict[Future[str], Clip] = {}
        # Spawned, not forked: OpenCV's and FFmpeg's threads do not survive a fork.
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1 if alone else workers, spawn, _quiet_worker) as pool:
            while source or running:
                while source and len(running) < (1 if alone else 2 * workers):
                    try:
                        running[pool.submit(prepare_clip, source[0], job)] = source[0]
                    except BrokenProcessPool as error:
                        if not running:
                            raise FlowtellError("no worker process can be started here: free some memory") from error
                        break
                    source.popleft()
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                crashed = [running[f] for f in done if isinstance(f.exception(), BrokenProcessPool)]
                for future in done:
                    clip = running.pop(future)
                    if clip not in crashed:
                        yield clip, future.result()
                if not crashed:
                    continue
                if alone:
                    yield crashed[0], "its decoder crashed: the file is damaged beyond reading"
                else:
                    again.extend(itertools.chain(crashed, running.values()))
                break


def _quiet_worker() -> None:
    # Ctrl-C reaches every process; only the first one should answer it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
