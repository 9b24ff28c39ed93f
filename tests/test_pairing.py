"""stream.pairing: pairs by time, one box for both crops, evenly spread."""

from __future__ import annotations

import numpy as np
import pytest

from stream.contract import Contract
from stream.pairing import Pairer, cut
from stream.pictures import ArrayPicture
from stream.records import Box, Frame, Track
from tests.scenes import frame, pattern, scene

CONTRACT = Contract(size=64)
BOX = Box(112, 72, 96, 96)


def told(identity: int = 1, since_s: float = 0.0, now_s: float = 0.0, seen: bool = True) -> Track:
    return Track(identity, BOX, since_s, now_s, seen)


def gaps(pairer: Pairer, times: list[float]) -> list[float | None]:
    """The gap of the pair that each frame completes."""
    out: list[float | None] = []
    for i, t in enumerate(times):
        made = pairer.update(Frame(i, t, ArrayPicture(scene())), [told(now_s=t)])
        out.append(round(made[0].gap_s, 6) if made else None)
    return out


def test_a_cut_shows_the_box_and_the_margin_around_it() -> None:
    bgr = pattern(3, (240, 320), 40)
    crop = cut(ArrayPicture(bgr), Box(100, 60, 40, 40), 0.2, 56)
    assert np.array_equal(crop, bgr[52:108, 92:148])


def test_a_cut_at_the_border_repeats_the_border() -> None:
    bgr = pattern(3, (240, 320), 40)
    crop = cut(ArrayPicture(bgr), Box(-10, 0, 40, 40), 0.0, 40)
    assert np.array_equal(crop[:, 10:], bgr[:40, :30])
    assert np.array_equal(crop[:, :10], np.repeat(bgr[:40, :1], 10, axis=1))


def test_a_cut_is_scaled_to_the_contracts_size() -> None:
    assert cut(ArrayPicture(scene()), BOX, 0.2, 224).shape == (224, 224, 3)
    assert cut(ArrayPicture(scene()), BOX, 0.2, 32).shape == (32, 32, 3)


def test_both_crops_of_a_pair_are_cut_with_the_one_box_of_now() -> None:
    pairer = Pairer(CONTRACT)
    first, second = scene(person=1, x=112), scene(person=1, x=116)
    pairer.update(frame(0, first), [told()])
    moved = Track(1, Box(116, 72, 96, 96), 0.0, 0.04)
    made = pairer.update(frame(1, second), [moved])
    assert len(made) == 1
    assert np.array_equal(made[0].first, cut(ArrayPicture(first), moved.box, 0.2, 64))
    assert np.array_equal(made[0].second, cut(ArrayPicture(second), moved.box, 0.2, 64))
    assert (made[0].track, made[0].pts_s, made[0].face_px, made[0].box) == (1, 0.04, 96, moved.box)


@pytest.mark.parametrize(
    ("fps", "gap_s"),
    [(25, 0.04), (30, 0.033333), (50, 0.04), (60, 0.033333), (120, 0.041667), (10, 0.1), (7, 0.142857)],
)
def test_the_gap_is_the_one_nearest_to_the_contracts_at_any_frame_rate(fps: int, gap_s: float) -> None:
    assert gaps(Pairer(CONTRACT), [i / fps for i in range(20)])[-1] == gap_s


def test_a_stream_too_slow_for_the_contract_makes_no_pair() -> None:
    assert gaps(Pairer(CONTRACT), [i / 6 for i in range(20)]) == [None] * 20


def test_no_pair_reaches_across_a_gap_in_time() -> None:
    assert gaps(Pairer(CONTRACT), [0.0, 0.04, 1.0, 1.04]) == [None, 0.04, None, 0.04]


def test_no_pair_reaches_across_an_epoch() -> None:
    pairer = Pairer(CONTRACT)
    assert pairer.update(frame(0), [told()]) == []
    assert pairer.update(frame(1, epoch=1), [told()]) == []
    assert len(pairer.update(frame(2, epoch=1), [told()])) == 1


def test_no_pair_is_made_of_frames_whose_time_runs_back() -> None:
    assert gaps(Pairer(CONTRACT), [5.0, 5.04, 2.0, 2.04]) == [None, 0.04, None, 0.04]


def test_a_track_makes_no_pair_with_a_frame_from_before_it() -> None:
    pairer = Pairer(CONTRACT)
    pairer.update(frame(0), [])
    assert pairer.update(frame(1), [told(since_s=0.04)]) == []
    assert len(pairer.update(frame(2), [told(since_s=0.04)])) == 1


def test_a_track_that_this_frame_does_not_show_makes_no_pair() -> None:
    pairer = Pairer(CONTRACT)
    pairer.update(frame(0), [told()])
    assert pairer.update(frame(1), [told(seen=False)]) == []


def test_every_face_gets_its_own_pair() -> None:
    pairer = Pairer(CONTRACT)
    both = [told(1), told(4)]
    pairer.update(frame(0), both)
    assert [p.track for p in pairer.update(frame(1), both)] == [1, 4]


@pytest.mark.parametrize(("fps", "rate_hz"), [(25, 10), (30, 10), (50, 10), (30, 5), (8, 10)])
def test_pairs_are_as_many_as_asked_and_evenly_spread(fps: int, rate_hz: float) -> None:
    count = 10 * fps
    made = [i / fps for i, g in enumerate(gaps(Pairer(CONTRACT, rate_hz), [i / fps for i in range(count)])) if g]
    wanted = min(fps, rate_hz) * 10
    assert abs(len(made) - wanted) <= 2
    between = np.diff(made)
    assert between.max() - between.min() <= 2 / fps + 1e-9


def test_after_a_stall_pairs_are_not_made_up_for() -> None:
    times = [i / 25 for i in range(25)] + [5 + i / 25 for i in range(25)]
    made = [t for t, g in zip(times, gaps(Pairer(CONTRACT, 10), times), strict=True) if g and t > 4]
    assert len(made) <= 11
    assert np.diff(made).min() >= 0.08 - 1e-9
