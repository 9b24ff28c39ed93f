"""stream.records: impossible records cannot be made, and boxes count right."""

from __future__ import annotations

import numpy as np
import pytest

from stream.pictures import ArrayPicture
from stream.records import Box, Face, Frame, Pair, Reason, State, Verdict
from tests.scenes import frame, pattern

CROP = pattern(1, (32, 32))
BOX = Box(0, 0, 10, 10)


def test_a_square_lies_around_its_centre() -> None:
    assert Box.square(50, 40, 20) == Box(40, 30, 20, 20)
    assert Box(40, 30, 20, 20).center == (50, 40)


def test_a_scaled_box_lies_on_the_same_part_of_the_larger_picture() -> None:
    assert Box(1, 2, 3, 4).scaled(2) == Box(2, 4, 6, 8)


@pytest.mark.parametrize(
    ("other", "share"),
    [
        (Box(0, 0, 10, 10), 1.0),
        (Box(5, 0, 10, 10), 1 / 3),
        (Box(10, 0, 10, 10), 0.0),
        (Box(30, 30, 1, 1), 0.0),
        (Box(0, 0, 5, 10), 0.5),
    ],
)
def test_overlap_is_intersection_over_union(other: Box, share: float) -> None:
    assert BOX.overlap(other) == pytest.approx(share)
    assert other.overlap(BOX) == pytest.approx(share)


@pytest.mark.parametrize(("index", "pts_s"), [(-1, 0.0), (0, float("nan")), (0, float("inf"))])
def test_a_frame_needs_an_index_and_a_finite_time(index: int, pts_s: float) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        Frame(index, pts_s, ArrayPicture(CROP))


def test_a_frame_follows_only_an_earlier_one_of_the_same_epoch_and_size() -> None:
    first, small = frame(3), Frame(4, 0.16, ArrayPicture(CROP))
    assert frame(4).follows(first)
    assert not frame(4).follows(None)
    assert not frame(3).follows(first)
    assert not frame(2).follows(first)
    assert not frame(4, epoch=1).follows(first)
    assert not small.follows(first)


def test_an_empty_face_is_refused() -> None:
    with pytest.raises(ValueError, match="empty face box"):
        Face(Box(0, 0, 0, 10))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (CROP, CROP[:16]),
        (CROP.astype(np.float32), CROP),
        (CROP, CROP.astype(np.float32)),
        (CROP[..., 0], CROP[..., 0]),
        (CROP[..., :2], CROP[..., :2]),
    ],
)
def test_a_pair_of_anything_but_two_like_crops_is_refused(first: np.ndarray, second: np.ndarray) -> None:
    with pytest.raises(ValueError, match="two \\(S, S, 3\\) uint8 crops"):
        Pair(1, 0.04, 0.04, first, second, BOX, 10)


@pytest.mark.parametrize("gap_s", [0.0, -0.04])
def test_a_pair_without_a_gap_is_refused(gap_s: float) -> None:
    with pytest.raises(ValueError, match="gap must be positive"):
        Pair(1, 0.04, gap_s, CROP, CROP, BOX, 10)


@pytest.mark.parametrize("p_fake", [-0.1, 1.1, float("nan")])
def test_a_verdict_refuses_what_is_no_probability(p_fake: float) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        Verdict(1, State.FAKE, None, p_fake, 8, 1.0, 0.0, BOX)


@pytest.mark.parametrize(
    ("state", "reason"),
    [(State.REAL, Reason.TOO_DARK), (State.FAKE, Reason.FROZEN), (State.UNSURE, None), (State.STALE, None)],
)
def test_unsure_and_stale_carry_a_reason_and_nothing_else_does(state: State, reason: Reason | None) -> None:
    with pytest.raises(ValueError, match="reason"):
        Verdict(1, state, reason, 0.5, 8, 1.0, 0.0, BOX)
