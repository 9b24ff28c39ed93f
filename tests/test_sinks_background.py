"""Sinks on a thread of their own: order, what gives way, and what happens when they break."""

from __future__ import annotations

from threading import Event
from typing import Self

import pytest

from stream.errors import OutputError
from stream.sinks.background import Background


class Gate:
    """A sink that waits for ``opened`` before it takes anything in."""

    name = "gate"

    def __init__(self, fail_at: int | None = None) -> None:
        self.opened, self.started, self.left = Event(), Event(), Event()
        self.got: list[int] = []
        self._fail_at = fail_at

    def write(self, item: int) -> None:
        self.started.set()
        self.opened.wait(10)
        if item == self._fail_at:
            raise OutputError("the disk is full")
        self.got.append(item)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.left.set()


def test_everything_is_written_in_order_before_the_block_ends() -> None:
    gate = Gate()
    gate.opened.set()
    with Background(gate, live=False, room=3) as sink:
        for item in range(1, 50):
            sink.write(item)
    assert gate.got == list(range(1, 50))
    assert gate.left.is_set() and sink.dropped == 0 and sink.error is None


def test_a_live_cameras_oldest_items_give_way_and_are_counted() -> None:
    gate = Gate()
    with Background(gate, live=True, room=3) as sink:
        sink.write(1)
        assert gate.started.wait(10)
        for item in range(2, 10):
            sink.write(item)  # never waits, though nothing is taken in
        gate.opened.set()
    assert gate.got == [1, 7, 8, 9]
    assert sink.dropped == 5


def test_a_broken_sink_is_left_and_takes_nothing_more() -> None:
    gate = Gate(fail_at=2)
    gate.opened.set()
    with Background(gate, live=False, room=2) as sink:
        for item in range(1, 20):
            sink.write(item)
        assert gate.left.wait(10)
    assert gate.got == [1]
    assert isinstance(sink.error, OutputError)
    with pytest.raises(OutputError, match="the disk is full"):
        raise sink.error


class Puzzled(Gate):
    """A sink with a mistake in it."""

    def write(self, item: int) -> None:
        raise ValueError("nobody thought of this")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_sink_that_fails_unexpectedly_keeps_nobody_waiting() -> None:
    with Background(Puzzled(), live=False, room=2) as sink:
        for item in range(20):
            sink.write(item)  # a file's items wait for room: without an end this would last for ever
    assert sink.error is not None and "gate had to end" in str(sink.error)
