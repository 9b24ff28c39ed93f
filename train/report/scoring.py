"""Clips under changes -> scores, in as many processes as are given: the same pairs, fusion and model as live."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from stream.contract import Contract
from stream.errors import DataError, SourceError
from stream.faces import FaceDetector, find_faces
from stream.model import Device, Model
from stream.pairing import Pairer
from stream.pictures import ArrayPicture
from stream.pipeline import PairScore, pairs
from stream.records import Frame, Pair
from stream.scoring import RATE_HZ, PairScorer, Scorer
from stream.sources import read_file
from stream.tracking import Tracker
from train.manifest import Clip
from train.metrics import ClipScores
from train.scoring import main_face, open_scorer, told_of

from .alarms import THRESHOLDS, Alarms, Step, at_threshold, extremes, face_time_s, replay
from .changes import BENIGN, RESAMPLED_FACE, ROBUSTNESS, ChangeFrames, hide_face
from .shortcuts import Metadata, metadata

PLAIN, BACKGROUND, RESAMPLED = "plain", "background only", "resampled face"
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Setting:
    """What scores clips: an ONNX file or a checkpoint, a face model (Haar without), a device, pairs a second a face."""

    model: Path
    face_model: Path | None = None
    device: Device = "auto"
    rate_hz: float | None = RATE_HZ

    def open(self) -> Scorer:
        """The model. Raises ModelError, ContractError or DeviceError."""
        if self.model.suffix.lower() == ".onnx":
            # Threads below processes only get into each other's way.
            return Model(self.model, self.device, threads=1)
        return open_scorer(self.model, self.device)

    def faces(self) -> FaceDetector:
        """A fresh face detector: one follows the faces of one clip."""
        return find_faces(self.face_model)


@dataclass(frozen=True)
class Look:
    """What the model says of one clip under one change.

    ``scores`` is the clip's record; ``range`` the lowest and highest mean that the live window
    would have judged by;
    ``alarms`` holds one entry for each of ``alarms.THRESHOLDS`` and then one for the contract's own;
    ``face_s`` is the face time that they were counted over.
    """

    change: str
    scores: ClipScores
    range: tuple[float, float] | None = None
    alarms: tuple[Alarms, ...] = field(default=())
    face_s: float = 0.0
    metadata: Metadata | None = None


def steps_of(
    frames: Iterable[Frame],
    faces: FaceDetector,
    score: PairScore,
    contract: Contract,
    rate_hz: float | None,
    change: Callable[[Pair], Pair] | None = None,
) -> list[Step]:
    """The whole way of a clip up to its scores, one step for each frame; ``change`` alters pairs before fusion."""
    way = [
        (_seen(frame), tuple(tracks), tuple(change(pair) if change else pair for pair in ready))
        for frame, tracks, ready in pairs(frames, faces, Tracker(), Pairer(contract, rate_hz))
    ]
    every = [pair for _, _, ready in way for pair in ready]
    batches = [every[start : start + _BATCH] for start in range(0, len(every), _BATCH)]
    scores = np.concatenate([np.zeros(0, np.float32), *(score(batch) for batch in batches)])
    ends = np.cumsum([len(ready) for _, _, ready in way]).astype(int)
    return [
        Step(frame, tracks, ready, scores[end - len(ready) : end])
        for (frame, tracks, ready), end in zip(way, ends, strict=True)
    ]


def _seen(frame: Frame) -> Frame:
    """The frame without its pixels: a verdict needs its time and size, and a clip's pictures would fill the memory."""
    size = (frame.picture.height, frame.picture.width, 3)
    return replace(frame, picture=ArrayPicture(np.broadcast_to(np.uint8(0), size)))


def record(clip: Clip, steps: Sequence[Step]) -> ClipScores:
    """A clip's record, as ``train.scoring.main_face`` makes it."""
    told = (told_of(pair, p) for step in steps for pair, p in zip(step.pairs, step.scores, strict=True))
    seen = any(step.tracks for step in steps)
    return main_face(clip, told, "no pair of frames is close enough in time" if seen else "no face was found")


def look(clip: Clip, changes: Sequence[str], setting: Setting) -> list[Look]:
    """Score one clip under each of ``changes`` (names of ``changes.ROBUSTNESS`` and ``BENIGN``, or a probe)."""
    model = setting.open()
    looks = []
    for change in changes:
        try:
            looks.append(_look(clip, change, setting, model))
        except SourceError as error:
            nothing = ClipScores(clip, np.zeros(0), np.zeros(0), reason=str(error))
            looks.append(Look(change, nothing, alarms=(Alarms(0, None),) * (len(THRESHOLDS) + 1)))
    return looks


def _look(clip: Clip, change: str, setting: Setting, model: Scorer) -> Look:
    contract = model.contract
    frames: Iterator[Frame] = read_file(clip.path)
    known: dict[str, ChangeFrames] = {**ROBUSTNESS, **BENIGN, RESAMPLED: RESAMPLED_FACE}
    if change in known:
        frames = known[change](frames, setting.faces())

    def covered(pair: Pair) -> Pair:
        first, second = (hide_face(crop, contract.margin) for crop in (pair.first, pair.second))
        return replace(pair, first=first, second=second)

    hide = covered if change == BACKGROUND else None
    steps = steps_of(frames, setting.faces(), PairScorer(model, contract), contract, setting.rate_hz, hide)
    scores = record(clip, steps)
    if change != PLAIN:
        return Look(change, scores)
    facts = metadata(clip.path) if len(scores.p_fake) else None
    contracts = [*(at_threshold(contract, t) for t in THRESHOLDS), contract]
    alarms = tuple(replay(steps, c) for c in contracts)
    return Look(change, scores, extremes(steps, contract), alarms, face_time_s(steps), facts)


def look_at_all(
    tasks: Sequence[tuple[Clip, Sequence[str]]],
    setting: Setting,
    workers: int = 1,
    on_done: Callable[[int], None] | None = None,
) -> list[Look]:
    """Every clip under its changes, in the order of the tasks; ``on_done`` gets the number of looks just finished.

    A clip that cannot be read has no scores, and says why.

    Raises:
        ModelError: the model or the face model cannot be used. DataError: a process died.
    """
    results: dict[int, list[Look]] = {}
    for number, looks in _run(tasks, setting, workers):
        results[number] = looks
        if on_done is not None:
            on_done(len(looks))
    return [found for number in range(len(tasks)) for found in results[number]]


def _alone() -> None:
    """One core for each process; a checkpoint's torch, which is not loaded yet, reads the variable."""
    cv2.setNumThreads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def _run(
    tasks: Sequence[tuple[Clip, Sequence[str]]], setting: Setting, workers: int
) -> Iterator[tuple[int, list[Look]]]:
    if workers == 1:
        for number, (clip, changes) in enumerate(tasks):
            yield number, look(clip, changes, setting)
        return
    # Fork would copy OpenCV's and ONNX Runtime's threads half alive.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_alone) as pool:
        waiting = {pool.submit(look, clip, tuple(changes), setting): n for n, (clip, changes) in enumerate(tasks)}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        except BrokenProcessPool as error:
            raise DataError(
                "a process that scored clips died: free some memory, use fewer --workers, or leave the clip out that "
                "crashes its decoder ('flowtell train prepare' names it)"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
