from collections.abc import Sequence

import numpy as np
import pytest

from stream.contract import Contract, Thresholds
from stream.pictures import ArrayPicture
from stream.records import Box, Frame, Pair, Track
from train.report.alarms import Alarms, Step, at_threshold, curve, extremes, face_time_s, replay

CONTRACT = Contract(window_s=0.95, min_pairs=3, thresholds=Thresholds(0.6, 0.5, 0.3, 0.4))
BOX = Box(10, 10, 100, 100)
CROP = np.random.default_rng(0).integers(60, 200, (16, 16, 3)).astype(np.uint8)
PICTURE = ArrayPicture(np.zeros((200, 200, 3), np.uint8))


def steps(p_fake: Sequence[float]) -> list[Step]:
    """A face seen ten times a second, with these scores."""
    found = []
    for i, p in enumerate(p_fake):
        now_s = i / 10
        pair = Pair(1, now_s, 0.04, CROP, CROP, BOX, BOX.w)
        track = Track(1, BOX, 0.0, now_s)
        found.append(Step(Frame(i, now_s, PICTURE), (track,), (pair,), np.array([p], np.float32)))
    return found


def test_an_alarm_comes_when_the_live_window_mean_reaches_the_threshold() -> None:
    # Ten scores fill the window; six of them must be 0.9 for their mean with the 0.2 before to exceed 0.6.
    assert replay(steps([0.2] * 10 + [0.9] * 10), CONTRACT) == Alarms(1, pytest.approx(1.5))


def test_no_alarm_where_the_mean_stays_below() -> None:
    assert replay(steps([0.55] * 30), CONTRACT) == Alarms(0, None)


def test_two_alarms_where_it_falls_back_between() -> None:
    assert replay(steps([0.9] * 10 + [0.0] * 15 + [0.9] * 15), CONTRACT).count == 2


def test_the_first_alarm_waits_for_enough_evidence() -> None:
    assert replay(steps([1.0] * 10), CONTRACT) == Alarms(1, pytest.approx(0.2))


def test_extremes_are_those_of_the_window_and_not_of_single_pairs() -> None:
    assert extremes(steps([0.2] * 10 + [0.9] * 10), CONTRACT) == (pytest.approx(0.2), pytest.approx(0.9))
    assert extremes(steps([0.5] * 12 + [1.0] + [0.5] * 12), CONTRACT) == (pytest.approx(0.5), pytest.approx(0.55))


def test_extremes_are_none_without_enough_evidence() -> None:
    assert extremes(steps([0.9, 0.9]), CONTRACT) is None


def test_an_alarm_needs_a_threshold_no_higher_than_the_highest_mean() -> None:
    found = steps([0.1, 0.4, 0.8, 0.7, 0.9, 0.3, 0.2, 0.6] * 3)
    told = extremes(found, CONTRACT)
    assert told is not None
    assert replay(found, at_threshold(CONTRACT, told[1] - 1e-6)).count == 1
    assert replay(found, at_threshold(CONTRACT, told[1] + 1e-6)).count == 0


def test_face_time_is_from_first_to_last_sight() -> None:
    assert face_time_s(steps([0.5] * 21)) == pytest.approx(2.0)
    assert face_time_s([]) == 0


@pytest.mark.parametrize("fake_enter", [0.05, 0.35, 0.6, 0.999])
def test_another_threshold_keeps_the_hysteresis(fake_enter: float) -> None:
    told = at_threshold(CONTRACT, fake_enter).thresholds
    assert told.fake_enter == fake_enter
    assert told.fake_leave == pytest.approx(max(0, fake_enter - 0.1))


def test_the_curve_counts_false_alarms_an_hour_of_real_faces_and_waits_of_fakes() -> None:
    real = [[Alarms(2, 1.0), Alarms(0, None)], [Alarms(0, None), Alarms(0, None)]]
    fake = [[Alarms(1, 1.0), Alarms(1, 3.0)], [Alarms(3, 2.0), Alarms(0, None)]]
    low, high = curve((0.5, 0.9), real, fake, real_face_s=1800)
    assert (low.per_hour, low.found, low.median_s) == (4.0, 1.0, 1.5)
    assert low.per_hour_at_most == pytest.approx(2 * 6.2958, abs=1e-3)  # Poisson: two counted, at most 6.2958 meant
    assert (high.per_hour, high.found, high.median_s) == (0.0, 0.5, 3.0)
    assert high.per_hour_at_most == pytest.approx(2 * 2.9957, abs=1e-3)


def test_the_curve_of_no_real_face_cannot_tell_false_alarms() -> None:
    (point,) = curve((0.5,), [], [[Alarms(0, None)]], real_face_s=0)
    assert np.isnan(point.per_hour)
    assert point.median_s is None
