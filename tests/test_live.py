"""One camera's loop, with a source, a detector, a model and a clock of the test's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.contract import Contract
from stream.errors import SourceRefused
from stream.live import Judge, LiveLoop, Meter
from stream.looks import Look, Play
from stream.pictures import ArrayPicture
from stream.records import Box, Face, Frame, Image, State
from stream.sources import Phase
from stream.sources.base import Status

FACE = Face(Box(20, 10, 60, 60))
CONTRACT = Contract(size=32, min_pairs=4)


class Script:
    """A source that plays a list: a number is a frame at that time (and the clock is then), None 0.1 s without one."""

    live = True
    name = "scripted"

    def __init__(self, *plays: float | None, error: SourceRefused | None = None) -> None:
        self.now_s = 0.0
        self.status = Status(Phase.RUNNING, connections=1)
        self._plays = list(plays)
        self._error = error
        self._index = 0
        self._chance = np.random.default_rng(1)
        self._scene = self._chance.integers(0, 200, (90, 100, 3), dtype=np.uint8)

    def clock(self) -> float:
        return 100.0 + self.now_s

    def next_frame(self, timeout_s: float) -> Frame | None:
        if not self._plays:
            self.status = Status(Phase.ENDED, connections=1)
            return None
        at_s = self._plays.pop(0)
        if at_s is None:
            self.now_s += timeout_s
            return None
        self.now_s = at_s
        self._index += 1
        # The same scene with a camera's noise: no cut, and not frozen either.
        pixels = self._scene + self._chance.integers(0, 8, self._scene.shape, dtype=np.uint8)
        return Frame(self._index, at_s, ArrayPicture(pixels), arrived_s=self.clock())

    def close(self) -> None:
        self._plays.clear()

    def __enter__(self) -> Self:
        if self._error is not None:
            raise self._error
        return self

    def __exit__(self, *exc: object) -> None:
        pass


class Always:
    """A detector that finds the same face in every frame, or none from ``until_s`` on."""

    name = "always"

    def __init__(self, until_s: float = float("inf")) -> None:
        self._until_s = until_s

    def __call__(self, frame: Frame) -> list[Face]:
        return [FACE] if frame.pts_s < self._until_s else []


def fake(images: Sequence[Image]) -> NDArray[np.float32]:
    return np.full(len(images), 0.9, np.float32)


def looks_of(
    source: Script, detector: Always | None = None, rate_hz: float | None = None
) -> tuple[LiveLoop, list[Look]]:
    told: list[Look] = []
    judge = Judge(fake, CONTRACT, detector or Always(), rate_hz)
    loop = LiveLoop("door", source, judge, told.append, source.clock)  # type: ignore[arg-type]
    loop.run()
    return loop, told


def frames(seconds: float, first_s: float = 0.0, fps: int = 25) -> list[float]:
    return [first_s + i / fps for i in range(round(seconds * fps))]


def test_every_frame_is_told_once_as_fresh() -> None:
    loop, told = looks_of(Script(*frames(1)))
    assert [look.frame.pts_s for look in told if look.fresh and look.frame] == frames(1)
    assert loop.ended and loop.error is None and loop.done.is_set()
    assert told[0].status.play is Play.CONNECTING and told[-1].status.play is Play.ENDED


def test_a_face_is_stale_within_a_second_after_frames_stop() -> None:
    _, told = looks_of(Script(*frames(2), *[None] * 15))
    last_s = 100 + frames(2)[-1]
    assert told[-20].verdicts[0].state is State.FAKE
    stale = next(look for look in told if look.verdicts and look.verdicts[0].state is State.STALE)
    assert 0.8 < stale.now_s - last_s <= 1.0
    assert stale.status.play is Play.STALLED and not stale.fresh
    assert stale.status.frame_age_s == pytest.approx(stale.now_s - last_s)


def test_a_short_gap_between_frames_is_not_told_as_stalled() -> None:
    _, told = looks_of(Script(*frames(1), None, None, None, *frames(1, first_s=1.3)))
    assert {look.status.play for look in told[1:-1]} == {Play.PLAYING}


def test_a_face_that_is_gone_is_no_longer_told() -> None:
    _, told = looks_of(Script(*frames(4)), Always(until_s=2.0))
    with_face = [look.now_s - 100 for look in told if look.verdicts]
    assert with_face[-1] < 3.2


def test_a_source_that_cannot_be_opened_fails_with_its_sentence() -> None:
    loop, told = looks_of(Script(error=SourceRefused("door refuses the password: check it")))
    assert isinstance(loop.error, SourceRefused) and not loop.ended
    assert told[-1].status.play is Play.FAILED
    assert told[-1].status.message == "door refuses the password: check it"


def test_reset_starts_the_windows_anew() -> None:
    source = Script(*frames(2))
    told: list[Look] = []

    def tell(look: Look) -> None:
        told.append(look)
        if look.frame is not None and look.frame.index == 40:
            loop.reset()

    loop = LiveLoop("door", source, Judge(fake, CONTRACT, Always(), None), tell, source.clock)  # type: ignore[arg-type]
    loop.run()
    pairs = {look.frame.index: look.verdicts[0].pairs for look in told if look.fresh and look.frame and look.verdicts}
    assert pairs[40] > 30 and pairs[41] <= 1


def test_stopping_ends_the_loop_without_calling_it_the_sources_end() -> None:
    source = Script(*frames(5))

    def tell(look: Look) -> None:
        if look.frame is not None and look.frame.index == 10:
            loop.stop()

    loop = LiveLoop("door", source, Judge(fake, CONTRACT, Always(), None), tell, source.clock)  # type: ignore[arg-type]
    loop.run()
    assert not loop.ended and loop.done.is_set()
    assert loop.latest is not None and loop.latest.frame is not None and loop.latest.frame.index == 10


def test_the_planned_rate_counts_the_faces_in_view() -> None:
    _, told = looks_of(Script(*frames(4)), rate_hz=5.0)
    status = told[-2].status
    assert status.pairs_planned_hz == pytest.approx(5.0)
    assert status.pairs_hz == pytest.approx(5.0, abs=0.51)
    assert status.fps == pytest.approx(25, abs=0.6)


def test_rates_are_those_of_the_last_two_seconds() -> None:
    meter = Meter()
    for i in range(100):
        meter.judged(i / 10, i / 10 - 0.03, faces=2)
        meter.scored(i / 10, 4)
    fps, pairs_hz, faces, latency_s = meter.rates(9.9)
    assert (fps, pairs_hz, faces) == (10.5, 42.0, 2.0)  # 21 frames lie in the closed interval of 2 s
    assert latency_s == pytest.approx(0.03)
    assert meter.rates(20.0) == (0.0, 0.0, 0.0, None)


def test_a_failure_that_nobody_thought_of_is_no_normal_end() -> None:
    def puzzled(images: Sequence[Image]) -> NDArray[np.float32]:
        raise ValueError("nobody thought of this")

    source, told = Script(*frames(2)), list[Look]()
    loop = LiveLoop("door", source, Judge(puzzled, CONTRACT, Always(), None), told.append, source.clock)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nobody thought"):
        loop.run()
    assert (
        loop.error is not None and loop.error.exit_code == 1 and "door: flowtell itself has failed" in str(loop.error)
    )
    assert told[-1].status.play is Play.FAILED and loop.done.is_set() and not loop.ended
