"""Time stamps of any kind become one clock that never goes back; lag and back-off, all without reading a clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.sources.timeline import Backoff, Lag, Timeline
from tests.chance import floats


def test_a_recording_keeps_its_own_times() -> None:
    timeline = Timeline()
    assert [timeline.place(t) for t in (1.5, 1.54, 7.0)] == [1.5, 1.54, 7.0]
    assert timeline.epoch == 0


def test_a_live_stream_starts_at_zero() -> None:
    timeline = Timeline(from_zero=True)
    assert [timeline.place(t, arrived_s=a) for t, a in ((90.0, 5.0), (90.5, 5.5))] == [0.0, 0.5]


def test_a_missing_first_time_stamp_is_zero_and_the_next_one_counts_from_arrival() -> None:
    timeline = Timeline(from_zero=True)
    placed = [timeline.place(t, arrived_s=a) for t, a in ((None, 5.0), (90.0, 5.25), (90.5, 5.75))]
    assert placed == [0.0, 0.25, 0.75]
    assert timeline.epoch == 0


def test_missing_time_stamps_of_a_recording_are_a_nominal_step_apart() -> None:
    timeline = Timeline()
    assert [timeline.place(t) for t in (None, None, None)] == pytest.approx([0.0, 0.04, 0.08])


def test_a_repeated_time_stamp_still_goes_forward_by_a_tick() -> None:
    timeline = Timeline()
    assert [timeline.place(t) for t in (1.0, 1.0, 1.04)] == [1.0, 1.001, 1.04]
    assert timeline.epoch == 0


def test_a_clock_that_jumps_back_starts_a_new_epoch_and_time_goes_on_by_arrival() -> None:
    timeline = Timeline(from_zero=True)
    placed = [timeline.place(t, arrived_s=a) for t, a in ((50.0, 1.0), (50.5, 1.5), (3.0, 2.0), (3.5, 2.5))]
    assert placed == [0.0, 0.5, 1.0, 1.5]
    assert timeline.epoch == 1


def test_a_clock_that_jumps_forward_starts_a_new_epoch_and_invents_no_time() -> None:
    timeline = Timeline(from_zero=True)
    placed = [timeline.place(t, arrived_s=a) for t, a in ((1.0, 1.0), (1.5, 1.5), (5000.0, 2.0), (5000.5, 2.5))]
    assert placed == [0.0, 0.5, 1.0, 1.5]
    assert timeline.epoch == 1


def test_a_wrapped_33_bit_clock_goes_on_without_a_step_back() -> None:
    wrap_s = 2**33 / 90000
    timeline = Timeline(from_zero=True)
    placed = [timeline.place(t, arrived_s=a) for t, a in ((wrap_s - 0.25, 1.0), (0.0, 1.25), (0.25, 1.5))]
    assert placed == [0.0, 0.25, 0.5]
    assert timeline.epoch == 1


def test_a_gap_that_really_passed_counts_as_a_gap_in_the_same_epoch() -> None:
    timeline = Timeline(from_zero=True)
    placed = [timeline.place(t, arrived_s=a) for t, a in ((1.0, 1.0), (9.0, 9.0))]
    assert placed == [0.0, 8.0]
    assert timeline.epoch == 0


def test_a_reconnect_is_a_new_epoch_and_the_time_without_pictures_counts() -> None:
    timeline = Timeline(from_zero=True)
    timeline.restart()  # the first connection is none
    first = timeline.place(100.0, arrived_s=1.0)
    timeline.restart()
    assert (first, timeline.place(0.0, arrived_s=31.0), timeline.epoch) == (0.0, 30.0, 1)


def test_another_form_is_a_new_epoch_on_the_same_clock() -> None:
    timeline = Timeline(from_zero=True)
    placed = [timeline.place(t, f, a) for t, f, a in ((1.0, "a", 1.0), (1.5, "b", 1.5), (2.0, "b", 2.0))]
    assert placed == [0.0, 0.5, 1.0]
    assert timeline.epoch == 1


times = st.one_of(st.none(), floats(-1e5, 1e5), floats(0, 1))


@given(st.lists(st.tuples(times, floats(0, 10), st.booleans()), max_size=50))
def test_time_only_ever_goes_forward(frames: list[tuple[float | None, float, bool]]) -> None:
    timeline, arrived_s, last_s = Timeline(from_zero=True), 0.0, -1.0
    for pts_s, passed_s, reconnect in frames:
        arrived_s += passed_s
        if reconnect:
            timeline.restart()
        placed_s = timeline.place(pts_s, arrived_s=arrived_s)
        assert placed_s > last_s
        last_s = placed_s


def test_lag_is_what_a_stream_falls_behind_its_best() -> None:
    lag = Lag()
    assert [lag.update(t, 100 + t + d) for t, d in ((0, 0.5), (1, 0.25), (2, 1.25))] == [0.0, 0.0, 1.0]


def test_lag_forgets_its_best_so_that_clocks_may_drift() -> None:
    lag = Lag(memory_s=30)
    drifting = [lag.update(t, t * 1.001) for t in range(3600)]
    assert max(drifting) < 0.07  # a minute's drift at most, of 3.6 s in all


def test_lag_does_not_take_a_jump_of_the_clock_for_a_backlog() -> None:
    lag = Lag()
    lag.update(1000.0, 1.0)
    assert lag.update(0.0, 1.04) == 0.0


def test_backoff_doubles_from_half_a_second_to_thirty() -> None:
    backoff = Backoff()
    assert [backoff.wait_s(0.0, jitter=1.0) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_backoff_takes_up_to_half_off_by_chance_but_never_waits_less_than_half_a_second() -> None:
    backoff = Backoff()
    assert [backoff.wait_s(0.0, jitter=0.0) for _ in range(8)] == [0.5, 0.5, 1, 2, 4, 8, 15, 15]


def test_backoff_starts_over_after_a_stable_minute_and_not_before() -> None:
    backoff = Backoff()
    assert [backoff.wait_s(s, jitter=1.0) for s in (0.0, 0.0, 59.9, 60.0, 0.0)] == [0.5, 1, 2, 0.5, 1]
