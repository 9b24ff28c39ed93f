"""The capture thread, its one-frame slot and the reconnects, on sources made of lists and a clock that never sleeps."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from stream.errors import DeviceError, SourceBroken, SourceError, SourceNotFound, SourceRefused
from stream.pictures import ArrayPicture
from stream.sources import LiveSource, Phase
from stream.sources.base import Clock, Sample, Samples

PICTURE = ArrayPicture(np.zeros((16, 16, 3), np.uint8))
JOIN_S = 10.0


class FakeTime:
    """A clock that goes on by itself only while somebody waits; remembers how long they did."""

    def __init__(self) -> None:
        self.now_s, self.waits = 0.0, list[float]()

    def clock(self) -> Clock:
        return Clock(now=lambda: self.now_s, wait=self._wait, jitter=lambda: 1.0)

    def _wait(self, closed: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now_s += seconds
        return closed.is_set()


def script(*connections: Iterable[float | None] | SourceError | DeviceError) -> Callable[[threading.Event], Samples]:
    """A connect that plays one list of pts after the other (None: damaged); an error is raised; then it hangs."""
    left = iter(connections)

    def connect(closed: threading.Event) -> Samples:
        step = next(left, None)
        if isinstance(step, Exception):
            raise step
        for pts_s in step or ():
            yield Sample(None if pts_s is None else PICTURE, pts_s, "form")
        if step is None:
            closed.wait(JOIN_S)

    return connect


def wait_until(source: LiveSource, true: Callable[[], bool]) -> None:
    """Wait for the capture thread, by its own signal, to make something true."""
    with source._changed:
        assert source._changed.wait_for(true, JOIN_S), source.status


def test_the_first_connection_failing_is_raised_to_who_opens_it() -> None:
    source = LiveSource("cam", script(SourceRefused("cam refuses: check")))
    with pytest.raises(SourceRefused, match=r"^cam refuses: check$"):
        source.__enter__()
    assert source.status.phase is Phase.ENDED


def test_a_missing_device_is_raised_as_such() -> None:
    with pytest.raises(DeviceError), LiveSource("cam", script(DeviceError("no cuda"))):
        pass


def test_a_stream_that_ends_before_its_first_picture_is_broken() -> None:
    with pytest.raises(SourceBroken, match="cam ended before its first picture"), LiveSource("cam", script([])):
        pass


def test_a_connection_that_never_answers_is_given_up() -> None:
    with pytest.raises(SourceNotFound, match=r"cam did not answer within 0.01 s"):
        LiveSource("cam", script(), first_s=0.01).__enter__()


def test_a_patient_source_tries_again_when_the_first_connection_fails() -> None:
    time = FakeTime()
    connect = script(SourceRefused("no"), SourceRefused("no"), [1.0])
    with LiveSource("cam", connect, patient=True, clock=time.clock()) as source:
        frame = source.next_frame(JOIN_S)
        assert frame is not None and frame.index == 0
        assert time.waits[:2] == [0.5, 1.0]


def test_the_latest_frame_wins_and_the_others_are_counted() -> None:
    with LiveSource("cam", script([1.0, 1.25, 1.5, 1.75]), clock=FakeTime().clock()) as source:
        wait_until(source, lambda: source.status.frames == 4)
        frame = source.next_frame(JOIN_S)
        assert frame is not None
        assert (frame.index, frame.pts_s, frame.dropped, source.status.dropped) == (3, 0.75, 3, 3)
        # the one before it comes along, though nobody took it, and holds on to no other
        assert frame.before is not None and (frame.before.index, frame.before.before) == (2, None)
        assert source.next_frame(0.0) is None


def test_the_end_of_a_live_stream_is_a_disconnect_and_a_new_epoch() -> None:
    time = FakeTime()
    with LiveSource("cam", script([5.0], [90.0, 90.25]), clock=time.clock()) as source:
        wait_until(source, lambda: source.status.frames == 3)
        frame = source.next_frame(JOIN_S)
        assert frame is not None
        assert (frame.epoch, frame.pts_s) == (1, 0.75)  # half a second's back-off, then a quarter
        assert source.status.connections == 2


def test_a_loss_is_told_with_its_reason_and_the_tries_are_counted() -> None:
    lost = threading.Event()
    time = FakeTime()

    def wait(closed: threading.Event, seconds: float) -> bool:
        if len(time.waits) == 2:
            lost.set()
            return closed.wait(JOIN_S)
        return time.clock().wait(closed, seconds)

    clock = Clock(time.clock().now, wait, lambda: 1.0)
    with LiveSource("cam", script([1.0], SourceNotFound("gone"), SourceNotFound("still gone")), clock=clock) as source:
        assert lost.wait(JOIN_S)
        status = source.status
        assert (status.phase, status.attempts, status.error) == (Phase.LOST, 3, "still gone")
        assert source.next_frame(0.0) is not None  # what came before the loss is still there
        assert source.next_frame(0.0) is None


def test_the_back_off_starts_over_after_a_stable_minute() -> None:
    time = FakeTime()

    def connect(closed: threading.Event) -> Samples:
        tried = len(time.waits)
        if tried in {0, 4}:
            yield Sample(PICTURE, 1.0)
            time.now_s += 61.0 if tried else 0.0
        elif tried < 6:
            raise SourceNotFound("gone")
        else:
            closed.wait(JOIN_S)

    with LiveSource("cam", connect, clock=time.clock()) as source:
        wait_until(source, lambda: len(time.waits) >= 6)
        assert time.waits == [0.5, 1.0, 2.0, 4.0, 0.5, 1.0]


def test_damaged_pictures_are_counted_and_not_given_on() -> None:
    with LiveSource("cam", script([1.0, None, None]), clock=FakeTime().clock()) as source:
        wait_until(source, lambda: source.status.damaged == 2)
        assert source.status.frames == 1


def test_a_recording_at_its_own_speed_ends() -> None:
    with LiveSource("clip", script([1.0, 1.25]), ends=True, clock=FakeTime().clock()) as source:
        frames = list(source)
        assert frames[-1].pts_s == 1.25
        assert source.status.phase is Phase.ENDED


def test_iteration_goes_on_through_a_loss_until_the_source_is_closed() -> None:
    with LiveSource("cam", script([1.0], [2.0], [3.0]), clock=FakeTime().clock()) as source:
        epochs = []
        for frame in source:
            epochs.append(frame.epoch)
            if frame.epoch == 2:
                source.close()
    assert epochs[-1] == 2


def test_closing_wakes_who_waits_and_ends_the_thread() -> None:
    before = set(threading.enumerate())
    source = LiveSource("cam", script([1.0]), clock=FakeTime().clock())
    with source:
        assert source.next_frame(JOIN_S) is not None
        waiting = threading.Thread(target=source.next_frame, args=(JOIN_S,))
        waiting.start()
        source.close()
        waiting.join(JOIN_S)
        assert not waiting.is_alive()
    assert set(threading.enumerate()) <= before
    assert source.next_frame(JOIN_S) is None


def test_the_connection_is_closed_in_the_thread_that_opened_it() -> None:
    closed_in = []

    def connect(closed: threading.Event) -> Samples:
        try:
            while True:
                yield Sample(PICTURE, None)
        finally:
            closed_in.append(threading.current_thread().name)

    with LiveSource("cam", connect):
        pass
    assert closed_in == ["capture cam"]


def test_a_bug_in_a_connection_ends_the_source_instead_of_leaving_it_hanging(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_type))

    def connect(closed: threading.Event) -> Samples:
        yield Sample(PICTURE, 1.0)
        raise ZeroDivisionError

    with LiveSource("cam", connect) as source:
        assert [frame.index for frame in source] == [0]
    assert seen == [ZeroDivisionError]


def test_losses_are_logged_once_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "stream.sources")
    with LiveSource("cam", script([1.0], SourceNotFound("gone"), [2.0]), clock=FakeTime().clock()) as source:
        wait_until(source, lambda: source.status.connections == 2)
    assert caplog.messages[:2] == [
        "cam ended the stream; connecting again (try 1)",
        "gone; connecting again (try 2)",
    ]
