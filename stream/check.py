"""The verdict of a recorded file: every frame read, nothing dropped, each face judged over its whole time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .contract import Contract
from .faces import FaceDetector, find_faces
from .model import Model
from .pairing import Pairer
from .pipeline import PairScore, pairs
from .records import Frame, Pair, Reason, State
from .scoring import RATE_HZ, PairScorer, Scorer
from .sources import read_file
from .tracking import Tracker
from .verdict import decide

_BATCH = 16


@dataclass(frozen=True, slots=True)
class TrackVerdict:
    """What one face's whole time in a file says; ``p_fake`` is the mean over its ``pairs``, None without any."""

    track: int
    verdict: State
    p_fake: float | None
    pairs: int
    first_s: float
    last_s: float


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """What a file says: that of the face with the most pairs (the earliest of equals).

    ``reason`` tells an UNSURE and is None otherwise; ``tracks`` are in order of appearance.
    """

    file: str
    verdict: State
    p_fake: float | None
    pairs: int
    reason: Reason | None
    tracks: tuple[TrackVerdict, ...]


@dataclass(slots=True)
class _Face:
    first_s: float
    last_s: float
    scores: list[float] = field(default_factory=list)


def check_file(
    path: Path,
    model: Scorer | None = None,
    faces: FaceDetector | None = None,
    rate_hz: float | None = RATE_HZ,
    on_frame: Callable[[Frame], None] | None = None,
) -> FileVerdict:
    """Judge one recorded video.

    model: the bundled one by default. faces: Haar by default; new for every file. rate_hz: scored pairs a second
    of each face; None scores every pair. on_frame: called with each frame read, for a progress bar.

    Raises:
        SourceNotFound: no such file. SourceBroken: not a video. ModelError: the model cannot be run.
    """
    model = Model() if model is None else model
    return _judge(str(path), read_file(path), model, faces or find_faces(), rate_hz, on_frame)


def _judge(
    name: str,
    frames: Iterable[Frame],
    model: Scorer,
    faces: FaceDetector,
    rate_hz: float | None,
    on_frame: Callable[[Frame], None] | None,
) -> FileVerdict:
    contract = model.contract
    score = PairScorer(model, contract)
    found: dict[int, _Face] = {}
    waiting: list[Pair] = []
    shortest_gap_s, last_s = float("inf"), None
    for frame, tracks, ready in pairs(frames, faces, Tracker(), Pairer(contract, rate_hz)):
        if last_s is not None:
            shortest_gap_s = min(shortest_gap_s, frame.pts_s - last_s)
        last_s = frame.pts_s
        for track in tracks:
            face = found.setdefault(track.id, _Face(track.first_s, track.last_s))
            face.last_s = track.last_s
        waiting += ready
        if len(waiting) >= _BATCH:
            _score(waiting, score, found)
            waiting = []
        if on_frame is not None:
            on_frame(frame)
    _score(waiting, score, found)

    told = tuple(_told(track, face, contract) for track, face in found.items())
    main = max(told, key=lambda t: t.pairs, default=None)
    if main is None:
        return FileVerdict(name, State.UNSURE, None, 0, Reason.NO_FACE, ())
    reason = None
    if main.verdict is State.UNSURE:
        reason = Reason.UNDECIDED if main.pairs >= contract.min_pairs else Reason.FEW_PAIRS
        if main.pairs == 0 and shortest_gap_s > contract.gap_max_s:
            reason = Reason.FRAME_RATE
    return FileVerdict(name, main.verdict, main.p_fake, main.pairs, reason, told)


def _score(waiting: Sequence[Pair], score: PairScore, found: dict[int, _Face]) -> None:
    for pair, p_fake in zip(waiting, score(waiting), strict=True):
        found[pair.track].scores.append(float(p_fake))


def _told(track: int, face: _Face, contract: Contract) -> TrackVerdict:
    count = len(face.scores)
    p_fake = sum(face.scores) / count if count else None
    enough = p_fake is not None and count >= contract.min_pairs
    verdict = decide(p_fake, contract.thresholds) if enough and p_fake is not None else State.UNSURE
    return TrackVerdict(track, verdict, p_fake, count, face.first_s, face.last_s)
