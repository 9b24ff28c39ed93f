"""The overlay: what it draws where, in which colour, and that states are told apart without colour."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stream.overlay import COLOURS, draw, draw_help, fit, place
from stream.records import Box, Image, Reason, State, Verdict

BOX = Box(200, 120, 160, 160)
GROUND = np.full((360, 640, 3), 90, np.uint8)


def verdict(state: State, box: Box = BOX, history: tuple[float, ...] = ()) -> Verdict:
    reason = None if state in (State.REAL, State.FAKE) else Reason.UNDECIDED
    return Verdict(1, state, reason, 0.5, 9, 1.0, 0.0, box, history)


def drawn(state: State) -> Image:
    return draw(GROUND, [verdict(state)], "")


def inked(picture: Image) -> NDArray[np.bool_]:
    return np.asarray((picture != GROUND).any(axis=2))


def test_the_picture_itself_is_not_written_to() -> None:
    before = GROUND.copy()
    draw(GROUND, [verdict(State.FAKE)], "status", notice="no frames")
    draw_help(GROUND)
    assert np.array_equal(GROUND, before)


@pytest.mark.parametrize("state", list(State))
def test_the_upper_left_corner_of_the_box_has_the_states_colour(state: State) -> None:
    assert tuple(drawn(state)[120, 200]) == COLOURS[state]


def test_real_has_corners_only_and_fake_a_double_line() -> None:
    assert tuple(drawn(State.REAL)[280, 280]) == tuple(GROUND[0, 0])
    assert tuple(drawn(State.FAKE)[280, 280]) == COLOURS[State.FAKE]
    assert tuple(drawn(State.FAKE)[276, 280]) == COLOURS[State.FAKE]
    assert tuple(drawn(State.FAKE)[270, 280]) == tuple(GROUND[0, 0])


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(State, 2)))
def test_states_are_told_apart_without_colour(one: State, other: State) -> None:
    sides = [inked(drawn(state))[150:278, 195:205] for state in (one, other)]  # the box's left side alone
    assert np.count_nonzero(sides[0] != sides[1]) > 100


def test_a_box_beyond_the_border_is_drawn_as_far_as_it_goes() -> None:
    picture = draw(GROUND, [verdict(State.FAKE, Box(-80, -80, 160, 160))], "")
    assert picture.shape == GROUND.shape
    assert tuple(picture[79, 40]) == COLOURS[State.FAKE]


def test_the_curve_rises_with_p_fake() -> None:
    heights = []
    for p_fake in (0.0, 0.5, 1.0):
        picture = draw(GROUND, [verdict(State.REAL, history=(p_fake,) * 20)], "")
        below = picture[284:310, 240]
        heights.append(int(np.argmax((below == COLOURS[State.REAL]).all(axis=1))))
    assert heights[0] > heights[1] > heights[2]


def test_a_long_status_is_made_to_fit() -> None:
    assert not np.array_equal(draw(GROUND, [], "short"), draw(GROUND, [], ""))
    right_edge = draw(GROUND, [], "a source with a name that is very long indeed " * 4)[335:, -3:]
    assert int(right_edge.max()) < 120


def test_a_notice_turns_the_picture_gray() -> None:
    orange = np.full((360, 640, 3), (0, 120, 250), np.uint8)
    pixel = draw(orange, [], "", notice="no frames for 3 s")[20, 20]
    assert len(set(pixel.tolist())) == 1


@pytest.mark.parametrize("size", [(16, 16), (48, 320), (2160, 3840)])
def test_any_size_of_picture_can_be_drawn_on(size: tuple[int, int]) -> None:
    picture = np.zeros((*size, 3), np.uint8)
    assert draw(picture, [verdict(State.UNSURE, history=(0.1, 0.9))], "door", notice="gone").shape == picture.shape
    assert draw_help(picture).shape == picture.shape


def test_a_picture_is_fitted_whole_and_its_boxes_with_it() -> None:
    picture = cv2.rectangle(np.zeros((100, 200, 3), np.uint8), (50, 25), (149, 74), (255, 255, 255), cv2.FILLED)
    canvas, scale, corner = fit(picture, 400, 400)
    assert (canvas.shape, scale, corner) == ((400, 400, 3), 2.0, (0, 100))
    assert place(Box(50, 25, 100, 50), scale, corner) == Box(100, 150, 200, 100)
    assert canvas[151, 101].tolist() == [255, 255, 255]
    assert canvas[90, 200].tolist() == [18, 20, 24][::-1]
