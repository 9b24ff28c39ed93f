"""One camera's watching: the pipeline on its own thread, told to the sinks look by look."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Event

import numpy as np
from numpy.typing import NDArray

from .contract import Contract
from .errors import FlowtellError
from .faces import FaceDetector
from .looks import Look, Play, Status
from .pairing import Pairer
from .pipeline import detect
from .records import Frame, Pair, Verdict
from .repeats import Repeats
from .scoring import RATE_HZ, PairScorer, Score
from .sources import Phase, Source
from .tracking import Tracker
from .verdict import Limits, Window

_LOOK_EVERY_S = 0.1
_RATES_OVER_S = 2.0


class Meter:
    """Rates and ages over the last two seconds; every time is an argument."""

    def __init__(self) -> None:
        self._frames: deque[tuple[float, float, int]] = deque()  # when judged, latency, faces seen
        self._pairs: deque[tuple[float, int]] = deque()
        self.newest_arrived_s: float | None = None
        self._since_s: float | None = None

    def judged(self, now_s: float, arrived_s: float, faces: int) -> None:
        """A frame that arrived at ``arrived_s`` has its verdicts."""
        self._since_s = now_s if self._since_s is None else self._since_s
        self._frames.append((now_s, now_s - arrived_s, faces))
        self.newest_arrived_s = arrived_s
        self._forget(now_s)

    def scored(self, now_s: float, pairs: int) -> None:
        """``pairs`` pairs were scored."""
        self._pairs.append((now_s, pairs))
        self._forget(now_s)

    def rates(self, now_s: float) -> tuple[float, float, float, float | None]:
        """Frames a second, pairs a second, faces in the mean frame, and the slowest latency in seconds."""
        self._forget(now_s)
        over_s = min(_RATES_OVER_S, max(now_s - (self._since_s if self._since_s is not None else now_s), 0.1))
        frames = len(self._frames)
        faces = sum(n for _, _, n in self._frames) / frames if frames else 0.0
        slowest = max((latency for _, latency, _ in self._frames), default=None)
        return frames / over_s, sum(n for _, n in self._pairs) / over_s, faces, slowest

    def _forget(self, now_s: float) -> None:
        for queue in (self._frames, self._pairs):
            while queue and now_s - queue[0][0] > _RATES_OVER_S:
                queue.popleft()


@dataclass(frozen=True, slots=True)
class Judge:
    """How frames become verdicts: the shared model, a detector of this camera's own, and scored pairs a second."""

    model: Score
    contract: Contract
    faces: FaceDetector
    rate_hz: float | None = RATE_HZ
    device: str = "cpu"


class LiveLoop:
    """Watches one source until it ends or ``stop`` is called; ``run`` goes on a thread of its own.

    camera: its name. source: entered on the loop's thread, so that a slow camera keeps nobody waiting.
    judge: what the verdicts are made with. tell: called with every look. clock: ``time.monotonic``.

    Attributes: ``error``: what ended it, None for a normal end; ``done``; ``ended``: the source came to
    its own end; ``latest``: the newest look; ``scored``: pairs so far.
    """

    def __init__(
        self,
        camera: str,
        source: Source,
        judge: Judge,
        tell: Callable[[Look], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.camera = camera
        self.error: FlowtellError | None = None
        self.latest: Look | None = None
        self.done = Event()
        self.scored = 0
        self.ended = False
        self._source = source
        self._judge = judge
        self._tell = tell
        self._clock = clock
        self._stop = Event()
        self._reset = Event()
        self._meter = Meter()
        self._limits = Limits()
        self._window = Window(judge.contract, limits=self._limits)
        self._scorer = PairScorer(judge.model, judge.contract)
        self._frame: Frame | None = None
        self._arrived_s = 0.0
        self._verdicts: tuple[Verdict, ...] = ()

    def stop(self) -> None:
        """Ask the loop to end after the frame it is at."""
        self._stop.set()
        self._source.close()

    def reset(self) -> None:
        """Ask for all windows to start anew."""
        self._reset.set()

    def run(self) -> None:
        """Watch; every error ends in ``error`` and in a last look, and one that is not ours is raised as well."""
        failure: FlowtellError | None = FlowtellError(
            f"{self.camera}: flowtell itself has failed, please report the lines above"
        )
        try:
            self._publish(Play.CONNECTING, None, fresh=False)
            with self._source:
                self._watch()
            failure = None
        except FlowtellError as error:
            failure = error
        finally:
            self.error = failure
            self._verdicts = ()
            play = Play.ENDED if failure is None else Play.FAILED
            self._publish(play, None if failure is None else str(failure), fresh=False)
            self.done.set()

    def _watch(self) -> None:
        judge = self._judge
        pairer = Pairer(judge.contract, judge.rate_hz)
        story = detect(self._frames(), judge.faces, Tracker(), pairer, self._score, self._window, Repeats())
        for frame, verdicts in story:
            self._frame, self._verdicts = frame, tuple(verdicts)
            self._meter.judged(self._clock(), self._arrived_s, len(verdicts))
            self._publish(Play.PLAYING, None, fresh=True)

    def _frames(self) -> Iterator[Frame]:
        """The source's frames; while none come, time passes for the verdicts all the same."""
        while not self._stop.is_set():
            frame = self._source.next_frame(_LOOK_EVERY_S)
            if self._reset.is_set():
                self._reset.clear()
                self._window.reset()
            if frame is not None:
                self._arrived_s = frame.arrived_s or self._clock()
                yield frame
            elif self._source.status.phase is Phase.ENDED:
                self.ended = not self._stop.is_set()
                return
            else:
                self._no_frame()

    def _no_frame(self) -> None:
        status, frame = self._source.status, self._frame
        if frame is None:
            self._publish(Play.CONNECTING, status.error, fresh=False)
            return
        late_s = self._clock() - self._arrived_s
        self._verdicts = tuple(self._window.idle(frame.pts_s + late_s))
        stalled = late_s > self._limits.stale_s or status.phase is not Phase.RUNNING
        self._publish(Play.STALLED if stalled else Play.PLAYING, status.error, fresh=False)

    def _score(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        scores = self._scorer(pairs)
        self.scored += len(pairs)
        self._meter.scored(self._clock(), len(pairs))
        return scores

    def _publish(self, play: Play, message: str | None, fresh: bool) -> None:
        now_s, meter, frame = self._clock(), self._meter, self._frame
        fps, pairs_hz, faces, latency_s = meter.rates(now_s)
        rate_hz, at_source = self._judge.rate_hz, self._source.status
        status = Status(
            self.camera,
            self._source.name,
            play,
            message,
            self._judge.device,
            fps,
            latency_s,
            None if meter.newest_arrived_s is None else now_s - meter.newest_arrived_s,
            at_source.dropped,
            max(0, at_source.connections - 1),
            pairs_hz,
            rate_hz * faces if rate_hz is not None and self._source.live else None,
        )
        look = Look(frame, fresh, self._verdicts, status, now_s)
        self.latest = look
        self._tell(look)
