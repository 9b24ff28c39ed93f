"""The verdict of a recorded file: every frame read, nothing dropped, each face judged over its whole time.

P(fake) is the mean over all pairs of a face, as ``flowtell train evaluate`` measures it. The verdict is UNSURE, as
it would be live, where most of those pairs show a face too small, too blurred or too dark, or a frozen picture. A
looped picture is no reason here: nobody takes a file for live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mode

from .contract import Contract
from .faces import FaceDetector, find_faces
from .model import Model
from .pairing import Pairer
from .pipeline import PairScore, pairs
from .records import Frame, Pair, Reason, State
from .repeats import Repeats
from .scoring import RATE_HZ, PairScorer, Scorer
from .sources import read_file
from .tracking import Tracker
from .verdict import Limits, decide, flaw

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
    flaws: list[Reason] = field(default_factory=list)


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
    contract, frozen = model.contract, Repeats()
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
        stands_still = frozen(frame) is Reason.FROZEN
        for pair in ready:
            if (wrong := Reason.FROZEN if stands_still else _flaw(pair, contract)) is not None:
                found[pair.track].flaws.append(wrong)
        waiting += ready
        if len(waiting) >= _BATCH:
            _score(waiting, score, found)
            waiting = []
        if on_frame is not None:
            on_frame(frame)
    _score(waiting, score, found)

    told = [_told(track, face, contract, shortest_gap_s) for track, face in found.items()]
    if not told:
        return FileVerdict(name, State.UNSURE, None, 0, Reason.NO_FACE, ())
    main, reason = max(told, key=lambda t: t[0].pairs)
    return FileVerdict(name, main.verdict, main.p_fake, main.pairs, reason, tuple(track for track, _ in told))


def _score(waiting: Sequence[Pair], score: PairScore, found: dict[int, _Face]) -> None:
    for pair, p_fake in zip(waiting, score(waiting), strict=True):
        found[pair.track].scores.append(float(p_fake))


def _flaw(pair: Pair, contract: Contract) -> Reason | None:
    limits = Limits()
    return Reason.TOO_SMALL if pair.face_px < limits.min_face_px else flaw(pair, contract.margin, limits)


def _told(track: int, face: _Face, contract: Contract, shortest_gap_s: float) -> tuple[TrackVerdict, Reason | None]:
    """A face's verdict, and the reason where it is UNSURE."""
    count, verdict, reason = len(face.scores), State.UNSURE, None
    p_fake = sum(face.scores) / count if count else None
    if p_fake is None and shortest_gap_s > contract.gap_max_s:
        reason = Reason.FRAME_RATE
    elif p_fake is None or count < contract.min_pairs:
        reason = Reason.FEW_PAIRS
    elif 2 * len(face.flaws) > count:
        reason = mode(face.flaws)
    else:
        verdict = decide(p_fake, contract.thresholds)
        reason = Reason.UNDECIDED if verdict is State.UNSURE else None
    return TrackVerdict(track, verdict, p_fake, count, face.first_s, face.last_s), reason
