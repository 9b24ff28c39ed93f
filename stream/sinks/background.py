"""Runs a sink on a thread of its own, so that no camera waits for a disk, a pipe or an encoder."""

from __future__ import annotations

from collections import deque
from threading import Condition, Thread
from typing import Generic, Self, TypeVar

from stream.errors import OutputError

from . import Sink

T = TypeVar("T")
_FINISH_S = 10.0


class Background(Generic[T]):
    """A sink behind a bounded queue: a live camera's oldest items give way and are counted, a file's wait.

    sink: entered and left on the thread. live: whether items may be dropped. room: items that may wait.

    Attributes: ``name``; ``dropped``; ``error`` (the OutputError that ended it, else None).
    """

    def __init__(self, sink: Sink[T], live: bool, room: int) -> None:
        self.name = sink.name
        self.dropped = 0
        self.error: OutputError | None = None
        self._sink = sink
        self._live = live
        self._room = room
        self._waiting: deque[T] = deque()
        self._changed = Condition()
        self._closing = False
        self._thread = Thread(target=self._run, name=f"flowtell {sink.name}", daemon=True)

    def write(self, item: T) -> None:
        """Hand one item over; after an error it is thrown away."""
        with self._changed:
            if self._live and len(self._waiting) >= self._room:
                self._waiting.popleft()
                self.dropped += 1
            self._changed.wait_for(lambda: len(self._waiting) < self._room or self.error or self._closing)
            if self.error is None and not self._closing:
                self._waiting.append(item)
                self._changed.notify_all()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Write what still waits and finish the sink."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(_FINISH_S)
        if self._thread.is_alive():
            self.error = OutputError(f"{self.name} could not be finished: whoever takes it in has stopped reading")

    def _run(self) -> None:
        failure: OutputError | None = OutputError(f"{self.name} had to end, please report the lines above")
        try:
            with self._sink as sink:
                while (item := self._next()) is not None:
                    sink.write(item)
            failure = None
        except OutputError as error:
            failure = error
        finally:
            # Whatever happened, nobody may wait for ever on a thread that is gone.
            with self._changed:
                self.error = failure
                self._waiting.clear()
                self._changed.notify_all()

    def _next(self) -> T | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return None
            self._changed.notify_all()
            return self._waiting.popleft()
