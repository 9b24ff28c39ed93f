"""A live source: a capture thread decodes into a slot that holds the latest frame, and connects again when it must.

CONNECTING --first picture--> RUNNING --error, end or silence--> LOST --back-off over--> RUNNING ...
    `-- first connection fails: its error is raised to who opened it (unless patient)
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from stream.errors import FlowtellError, SourceBroken, SourceNotFound
from stream.records import Frame

from .base import Clock, Connect, Phase, Sample, Status
from .timeline import Backoff, Timeline

log = logging.getLogger(__name__)

_ITERATION_S = 60.0
_CLOSE_S = 6.0


class LiveSource:
    """Frames of a ``connect`` that is called again after every loss; see ``Source`` for what it promises.

    name: what is read, already redacted. ends: the end of the stream is the end of the source (a recording that
    plays at its own speed). patient: the first connection may fail too. first_s: how long entering waits at most.
    """

    live = True

    def __init__(
        self,
        name: str,
        connect: Connect,
        *,
        ends: bool = False,
        patient: bool = False,
        first_s: float = 20.0,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self._connect = connect
        self._ends = ends
        self._patient = patient
        self._first_s = first_s
        self._clock = clock or Clock()
        self._closed = threading.Event()
        self._changed = threading.Condition()
        self._slot: Frame | None = None
        self._newest: Frame | None = None
        self._status = Status(Phase.CONNECTING)
        self._failure: FlowtellError | None = None
        self._timeline = Timeline(from_zero=not ends)
        self._thread = threading.Thread(target=self._run, name=f"capture {name}", daemon=True)

    @property
    def status(self) -> Status:
        """Where the source stands now."""
        return self._status

    def __enter__(self) -> Self:
        self._thread.start()
        if self._patient:
            return self
        with self._changed:
            told = self._changed.wait_for(lambda: self._status.phase is not Phase.CONNECTING, self._first_s)
        if self._failure is not None or not told:
            self.close()
            # raised here, not where it happened: nothing that PyAV said (with the password in it) is chained to it
            raise self._failure or SourceNotFound(
                f"{self.name} did not answer within {self._first_s:g} s: check the address and the network"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        # A name look-up cannot be interrupted: the thread is a daemon and ends by itself as soon as that returns.
        self._thread.join(_CLOSE_S)

    def close(self) -> None:
        """End it; from any thread, without waiting. A waiting ``next_frame`` returns None at once."""
        self._closed.set()
        self._tell(phase=Phase.ENDED)

    def next_frame(self, timeout_s: float) -> Frame | None:
        """The latest frame not yet taken, waiting up to ``timeout_s``; None when none came or the source ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._slot is not None or self._status.phase is Phase.ENDED, timeout_s)
            frame, self._slot = self._slot, None
            return None if self._closed.is_set() else frame

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self.next_frame(_ITERATION_S)) or self._status.phase is not Phase.ENDED:
            if frame:
                yield frame

    def _run(self) -> None:
        backoff = Backoff()
        try:
            while not self._closed.is_set():
                began_s, before = self._clock.now(), self._status.frames
                error = self._watch_one()
                if self._closed.is_set() or self._over(error):
                    return
                came = self._status.frames > before
                self._lose(error, came)
                lasted_s = self._clock.now() - began_s if came else 0.0
                if self._clock.wait(self._closed, backoff.wait_s(lasted_s, self._clock.jitter())):
                    return
        finally:
            # whatever happened, nobody may wait for ever on a thread that is gone
            self._tell(phase=Phase.ENDED)

    def _watch_one(self) -> FlowtellError | None:
        """One connection from its opening to its end; what ended it."""
        self._timeline.restart()
        try:
            with closing(self._connect(self._closed)) as samples:
                for sample in samples:
                    if self._closed.is_set():
                        return None
                    self._take(sample)
        except FlowtellError as error:
            return error
        return None

    def _take(self, sample: Sample) -> None:
        if sample.picture is None:
            self._tell(damaged=self._status.damaged + 1)
            return
        now_s, was = self._clock.now(), self._status
        pts_s = self._timeline.place(sample.pts_s, sample.form, now_s)
        anew = was.phase is not Phase.RUNNING
        with self._changed:
            dropped = was.dropped + (self._slot is not None)
            frame = Frame(was.frames, pts_s, sample.picture, now_s, dropped, self._timeline.epoch)
            self._slot, self._newest = replace(frame, before=self._newest), frame
            self._tell(
                phase=Phase.RUNNING,
                connections=was.connections + anew,
                attempts=0,
                frames=was.frames + 1,
                dropped=dropped,
                arrived_s=now_s,
                error=None,
            )
        if anew:
            log.info("%s: pictures come (connection %d)", self.name, self._status.connections)

    def _over(self, error: FlowtellError | None) -> bool:
        """Whether this was the end: of a recording, or of a source that never gave a picture."""
        if self._status.frames == 0 and not self._patient:
            self._failure = error or SourceBroken(f"{self.name} ended before its first picture: is it a video?")
        elif self._ends and error is not None:
            self._tell(error=str(error))
        return self._ends or self._failure is not None

    def _lose(self, error: FlowtellError | None, came: bool) -> None:
        sentence = str(error or f"{self.name} ended the stream")
        self._tell(phase=Phase.LOST, attempts=1 if came else self._status.attempts + 1, error=sentence)
        log.warning("%s; connecting again (try %d)", sentence, self._status.attempts)

    def _tell(self, **news: Any) -> None:
        """Change the status and wake who waits; after the end nothing changes any more."""
        with self._changed:
            if self._status.phase is not Phase.ENDED:
                self._status = replace(self._status, **news)
            self._changed.notify_all()
