"""Watching: a loop for each camera, one model for all, and the sinks; the window on the main thread.

    capture thread (in the source) -> loop thread (faces to verdicts) -> sinks, each on its own thread
                                                                     `-> window (main thread)

None waits on another's I/O: a camera that is dead, slow or broken costs the others nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

from .batching import share
from .errors import FlowtellError, NoFaceError, OutputError
from .faces import find_faces
from .live import Judge, LiveLoop
from .looks import Look
from .model import Device, Model, use_threads
from .scoring import RATE_HZ
from .sinks.background import Background
from .sinks.console import Console
from .sinks.jsonl import JsonLines, Record, Reporter
from .sinks.recording import Recording
from .sinks.window import Screen, no_display
from .sources import SourceOptions, open_source
from .viewer import Viewer

Say = Callable[[str], None]
_TICK_S = 1 / 30
_END_S = 8.0  # how long a loop may take to notice that it is to end


@dataclass(frozen=True, slots=True)
class Camera:
    """One source to watch: its name, how it is read, pairs a second that are scored (None: all), where it is recorded.

    ``uri`` may hold a password; it is shown through ``Source.name`` only.
    """

    name: str
    uri: str = field(repr=False)
    options: SourceOptions = field(default_factory=SourceOptions)
    rate_hz: float | None = RATE_HZ
    record: Path | None = None


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What all cameras share. ``json``: a path, or "-"; ``window``: None opens one where there is a display."""

    json: str | None = None
    duration_s: float | None = None
    window: bool | None = None
    model: Path | None = None
    device: Device = "auto"
    face_model: Path | None = None


def watch(cameras: Sequence[Camera], options: WatchOptions, say: Say) -> int:
    """Watch until every source has ended, ``duration_s`` has passed, or the user quits; the exit code.

    say: tells the user a sentence (on standard error). Sources that fail and outputs that break are told at
    once, the others go on, and the code is that of the first; 0 where all went well. What was written is
    finished in any case, Ctrl-C included.

    Raises:
        FlowtellError: the watching could not begin (model, device, face model, output).
    """
    model = Model(options.model, options.device, use_threads(len(cameras)))
    say(f"device: {model.device} ({model.why})")
    sources = [open_source(camera.uri, camera.options) for camera in cameras]
    score = share(model, len(cameras))
    outputs = _Outputs(cameras, [source.live for source in sources], options, model)
    news = _News(say, outputs)
    try:
        with ExitStack() as closing:
            outputs.start(closing)
            loops = news.loops = [
                LiveLoop(
                    camera.name,
                    source,
                    Judge(score, model.contract, find_faces(options.face_model), camera.rate_hz, model.device),
                    outputs.teller(camera),
                )
                for camera, source in zip(cameras, sources, strict=True)
            ]
            screen = _screen(options, say, closing)
            threads = [Thread(target=loop.run, name=f"flowtell {loop.camera}", daemon=True) for loop in loops]
            for thread in threads:
                thread.start()
            try:
                _until_the_end(news, model, screen, options.duration_s)
            finally:
                for loop in loops:
                    loop.stop()
                for thread in threads:
                    thread.join(_END_S)
    finally:
        news.tell()
    if news.code == 0 and all(loop.ended for loop in loops) and not any(loop.scored for loop in loops):
        raise NoFaceError("no face could be scored: a face must be frontal, sharp and large enough for some seconds")
    return news.code


def _until_the_end(news: _News, model: Model, screen: Screen | None, duration_s: float | None) -> None:
    """Come back when every loop is done, the time is over, the user quits, or nobody is left to be told."""
    viewer = None
    if screen is not None:
        viewer = Viewer(screen, model.contract.thresholds, news.reset, news.say, Path.cwd())
    until_s = None if duration_s is None else time.monotonic() + duration_s
    while waiting := [loop for loop in news.loops if not loop.done.is_set()]:
        news.tell()
        if viewer is not None and screen is not None:
            viewer.update([loop.latest for loop in news.loops if loop.latest is not None])
            if viewer.quit:
                return
            if screen.lost is not None:
                news.say(f"the window is lost ({screen.lost}); watching goes on without it")
                viewer = None
        if viewer is None and not news.outputs.any_left():
            return
        if until_s is not None and time.monotonic() >= until_s:
            return
        waiting[0].done.wait(_TICK_S)


def _screen(options: WatchOptions, say: Say, closing: ExitStack) -> Screen | None:
    if options.window is False:
        return None
    if (why := no_display()) is not None:
        if options.window or options.json != "-":
            say(f"no window: {why}; watching goes on without it")
        return None
    return closing.enter_context(Screen("flowtell"))


class _Outputs:
    """The sinks, each on its own thread; raises OutputError at once where one cannot begin."""

    def __init__(
        self,
        cameras: Sequence[Camera],
        live: Sequence[bool],
        options: WatchOptions,
        model: Model,
    ) -> None:
        self.records: list[Background[Sequence[Record]]] = []
        if options.json is not None:
            self.records.append(Background(JsonLines(options.json), any(live), room=1000))
        if options.json != "-":
            self.records.append(Background(Console(several=len(cameras) > 1), any(live), room=1000))
        self.recordings: dict[str, Background[Look]] = {
            camera.name: Background(Recording(camera.record, model.contract.thresholds), camera_live, room=16)
            for camera, camera_live in zip(cameras, live, strict=True)
            if camera.record is not None
        }

    def start(self, closing: ExitStack) -> None:
        """Let them write until ``closing`` ends."""
        for sink in self._all():
            closing.enter_context(sink)

    def teller(self, camera: Camera) -> Callable[[Look], None]:
        """What the camera's loop calls with every look."""
        reporter, recording = Reporter(), self.recordings.get(camera.name)

        def tell(look: Look) -> None:
            if recording is not None:
                recording.write(look)
            if records := reporter.records(look):
                for sink in self.records:
                    sink.write(records)

        return tell

    def errors(self) -> list[OutputError]:
        """Those of the sinks that had to end."""
        return [sink.error for sink in self._all() if sink.error is not None]

    def any_left(self) -> bool:
        """Whether anything is still written."""
        return any(sink.error is None for sink in self._all())

    def _all(self) -> list[Background[Sequence[Record]] | Background[Look]]:
        return [*self.records, *self.recordings.values()]


class _News:
    """What went wrong, told once each; ``code`` is the exit code of the first."""

    def __init__(self, say: Say, outputs: _Outputs) -> None:
        self.say = say
        self.code = 0
        self.outputs = outputs
        self.loops: list[LiveLoop] = []
        self._told: set[str] = set()

    def tell(self) -> None:
        """Tell what is new."""
        several = len(self.loops) > 1
        errors: list[FlowtellError] = [loop.error for loop in self.loops if loop.error is not None]
        for error in (*errors, *self.outputs.errors()):
            if str(error) not in self._told:
                self._told.add(str(error))
                self.code = self.code or error.exit_code
                self.say(f"{error}; the other cameras go on" if several and error in errors else str(error))

    def reset(self) -> None:
        """Start the windows of all cameras anew."""
        for loop in self.loops:
            loop.reset()
