"""stream.fusion: the fused picture is the published notebook's, byte for byte."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.contract import Contract
from stream.flows import farneback
from stream.fusion import blend, flow_picture, fuse, warp_back
from stream.records import Box, Image, Pair
from tests.chance import floats


def notebook(first: Image, second: Image) -> Image:
    """The formula as the notebook has it: Farneback, hue and min-max magnitude, 0.7 and 0.3; RGB."""
    one, two = cv2.cvtColor(first, cv2.COLOR_BGR2GRAY), cv2.cvtColor(second, cv2.COLOR_BGR2GRAY)
    flow = cv2.calcOpticalFlowFarneback(one, two, None, 0.5, 3, 15, 3, 5, 1.2, 0)  # type: ignore[call-overload]
    magnitude, angle = cv2.cartToPolar(flow[..., 0], flow[..., 1])
    hsv = np.zeros_like(first)
    hsv[..., 1] = 255
    hsv[..., 0] = angle * 180 / np.pi / 2
    hsv[..., 2] = cv2.normalize(magnitude, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    drawn = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    faces = cv2.addWeighted(first, 0.5, second, 0.5, 0)
    return np.asarray(cv2.cvtColor(cv2.addWeighted(faces, 0.7, drawn, 0.3, 0), cv2.COLOR_BGR2RGB), np.uint8)


def texture(seed: int, size: int = 224) -> Image:
    """A smooth random picture, (size, size, 3), in which flow can be measured."""
    noise = np.random.default_rng(seed).integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)


def shifted(picture: Image, dx: float, dy: float) -> Image:
    """``picture`` moved by (dx, dy) pixels."""
    move = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return np.asarray(cv2.warpAffine(picture, move, picture.shape[1::-1], borderMode=cv2.BORDER_REFLECT), np.uint8)


def pair(first: Image, second: Image) -> Pair:
    return Pair(1, 0.04, 0.04, first, second, Box(0, 0, 100, 100), 100)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), floats(-6, 6), floats(-6, 6), st.sampled_from([64, 112, 224]))
def test_the_fused_picture_equals_the_notebooks_formula_exactly(seed: int, dx: float, dy: float, size: int) -> None:
    first = texture(seed, size)
    second = shifted(first, dx, dy)
    assert np.array_equal(fuse(pair(first, second), Contract(size=size)), notebook(first, second))


def test_two_equal_crops_fuse_to_the_notebooks_picture_too() -> None:
    still = texture(3)
    assert np.array_equal(fuse(pair(still, still), Contract()), notebook(still, still))


def test_the_weights_of_the_contract_are_the_ones_that_blend() -> None:
    first, second, drawn = (np.full((4, 4, 3), v, np.uint8) for v in (100, 200, 50))
    assert np.unique(blend(first, second, drawn, 0.7, 0.3)).tolist() == [120]
    assert np.unique(blend(first, second, drawn, 0.5, 0.5)).tolist() == [100]


def test_farneback_finds_the_direction_and_the_length_of_a_shift() -> None:
    first = texture(5)
    inner = farneback(first, shifted(first, 3, -2))[50:-50, 50:-50]
    assert np.median(inner[..., 0]) == pytest.approx(3, abs=0.1)
    assert np.median(inner[..., 1]) == pytest.approx(-2, abs=0.1)


def test_a_flow_without_any_motion_is_drawn_black() -> None:
    assert not flow_picture(np.zeros((8, 8, 2), np.float32)).any()
    assert not flow_picture(np.full((8, 8, 2), 2.5, np.float32)).any()


def test_warping_back_along_the_flow_gives_the_first_crop_again() -> None:
    first = texture(7)
    flow = np.zeros((224, 224, 2), np.float32)
    flow[...] = 4, 2
    assert np.array_equal(warp_back(shifted(first, 4, 2), flow)[10:-10, 10:-10], first[10:-10, 10:-10])


def test_rgb_is_the_second_crop_alone() -> None:
    first, second = texture(1), texture(2)
    assert np.array_equal(fuse(pair(first, second), Contract(input="rgb")), second[..., ::-1])


def test_flow_is_the_drawn_flow_alone() -> None:
    first = texture(1)
    second = shifted(first, 2, 1)
    drawn = flow_picture(farneback(first, second))
    assert np.array_equal(fuse(pair(first, second), Contract(input="flow")), drawn[..., ::-1])


def test_stack_holds_the_picture_the_motion_and_what_the_motion_cannot_explain() -> None:
    first, second = np.full((32, 32, 3), 100, np.uint8), np.full((32, 32, 3), 110, np.uint8)

    def three_right(one: Image, other: Image) -> np.ndarray:
        return np.broadcast_to(np.array([3, -1], np.float32), (*one.shape[:2], 2)).copy()

    stack = fuse(pair(first, second), Contract(input="stack", size=32), three_right)
    assert stack.shape == (32, 32, 6)
    assert [np.unique(stack[..., k]).tolist() for k in range(6)] == [[110]] * 3 + [[128 + 48], [128 - 16], [128 + 20]]


def test_a_flow_function_that_is_given_replaces_the_contracts_own() -> None:
    first, second = texture(1), texture(2)
    still = fuse(pair(first, second), Contract(), lambda one, other: np.zeros((224, 224, 2), np.float32))
    assert np.array_equal(still, blend(first, second, np.zeros_like(first), 0.7, 0.3))
