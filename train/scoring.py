"""A model, exported or still a checkpoint, over clips: the scores that every judgement starts from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stream.errors import SourceError
from stream.faces import find_faces
from stream.model import Device, Model
from stream.records import Pair
from stream.scoring import RATE_HZ, PairScorer, Scorer

from .manifest import Clip
from .metrics import ClipScores
from .prepare import clip_pairs, spread
from .store import StoredClip

BATCH = 32


@dataclass(frozen=True, slots=True)
class Looking:
    """How clips are looked at.

    ``rate_hz``: scored pairs a second of each face, as the live stream takes them; None scores every pair.
    ``pairs``: at most so many a clip, spread evenly over it. ``face_model``: YuNet's file, or None for Haar.
    ``workers``: clips at a time.
    """

    rate_hz: float | None = RATE_HZ
    pairs: int | None = None
    face_model: Path | None = None
    workers: int = 2


def open_scorer(file: Path, device: Device = "auto") -> Scorer:
    """An exported model (``.onnx``), or else a checkpoint of ``train fit``.

    Raises:
        ModelError: the file is missing or neither. ContractError: its contract cannot be met.
        DeviceError: ``cuda`` was asked for and is not there.
    """
    if file.suffix.lower() == ".onnx":
        return Model(file, device)
    from .checkpoint import CheckpointScorer  # noqa: PLC0415  (an exported model is judged without torch)

    return CheckpointScorer(file, device)


def score_clips(
    clips: Sequence[Clip],
    scorer: Scorer,
    looking: Looking | None = None,
    on_clip: Callable[[Clip], None] = lambda clip: None,
) -> list[ClipScores]:
    """What the model says of each clip, through the live path; a clip that cannot be scored says why."""
    looking = looking or Looking()
    find_faces(looking.face_model)  # a missing face model is one error, not one for every clip

    def one(clip: Clip) -> ClipScores:
        faces = find_faces(looking.face_model)
        try:
            found = clip_pairs(clip.path, scorer.contract, faces, looking.rate_hz)
            return main_face(clip, _score(spread(found, looking.pairs) if looking.pairs else found, scorer))
        except SourceError as error:
            return ClipScores(clip, np.zeros(0), np.zeros(0), reason=str(error))

    scores = []
    with ThreadPoolExecutor(looking.workers) as pool:
        for told in pool.map(one, clips):
            scores.append(told)
            on_clip(told.clip)
    return scores


def score_stored(
    clips: Sequence[StoredClip],
    scorer: Scorer,
    on_clip: Callable[[Clip], None] = lambda clip: None,
) -> list[ClipScores]:
    """The same from a pair store, where decoding and detection are done already.

    Every stored pair is scored; where the network has a memory, those that the stream would score, for it learned
    what follows what at that pace.
    """
    scores, rate_hz = [], RATE_HZ if scorer.contract.memory else None
    for stored in clips:
        found = (stored.pair(i) for i in stored.at_rate(rate_hz))
        scores.append(main_face(stored.clip, _score(found, scorer)))
        on_clip(stored.clip)
    return scores


class Told(NamedTuple):
    """What is kept of a scored pair: its track, time and mean side of the face in pixels, and its P(fake)."""

    track: int
    pts_s: float
    face_px: float
    p_fake: float


def told_of(pair: Pair, p_fake: float) -> Told:
    """A scored pair without its crops."""
    return Told(pair.track, pair.pts_s, pair.face_px, float(p_fake))


def _score(found: Iterable[Pair], scorer: Scorer) -> Iterator[Told]:
    """Score pairs as they come; their crops are let go at once, so that a clip may be of any length."""
    score, waiting = PairScorer(scorer, scorer.contract), list[Pair]()
    for pair in found:
        waiting.append(pair)
        if len(waiting) == BATCH:
            yield from _told(waiting, score)
            waiting = []
    yield from _told(waiting, score)


def _told(waiting: Sequence[Pair], score: PairScorer) -> Iterator[Told]:
    return (told_of(pair, p_fake) for pair, p_fake in zip(waiting, score(waiting), strict=True))


def main_face(clip: Clip, told: Iterable[Told], nothing: str = "no face was found for long enough") -> ClipScores:
    """A clip's record along the face with the most pairs (the earliest of equals), as ``stream.check`` judges it.

    ``nothing``: the reason that is given where no pair was scored.
    """
    faces: dict[int, list[Told]] = {}
    for one in told:
        faces.setdefault(one.track, []).append(one)
    if not faces:
        return ClipScores(clip, np.zeros(0), np.zeros(0), reason=nothing)
    main = faces[max(faces, key=lambda track: (len(faces[track]), -track))]
    return ClipScores(
        clip,
        np.array([t.pts_s for t in main]),
        np.array([t.p_fake for t in main]),
        float(np.mean([t.face_px for t in main])),
    )
