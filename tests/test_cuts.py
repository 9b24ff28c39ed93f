"""stream.cuts: another face or scene is a cut; movement, light and noise are none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stream.cuts import Cuts, look, unlikeness
from stream.pictures import ArrayPicture
from stream.records import Box, Image
from tests.scenes import pattern, scene

BOX = Box(112, 72, 96, 96)


def seen(bgr: Image) -> np.ndarray:
    return look(ArrayPicture(bgr), BOX)


def smooth(seed: int, x: float = 0.0) -> Image:
    """A soft picture moved to the right by ``x`` pixels, as a head before a wall is soft."""
    picture = np.asarray(cv2.GaussianBlur(pattern(seed, (240, 400)), (0, 0), 6), np.uint8)
    move = np.array([[1, 0, x - 40], [0, 1, 0]], np.float32)
    return np.asarray(cv2.warpAffine(picture, move, (320, 240)), np.uint8)


def test_a_look_is_24_pixels_a_side_wherever_the_face_is() -> None:
    picture = ArrayPicture(scene())
    for box in (BOX, Box(-40, -40, 96, 96), Box(300, 220, 96, 96), Box(500, 500, 10, 10), Box(10, 10, 2, 2)):
        assert look(picture, box).shape == (24, 24)


def test_equal_looks_are_alike() -> None:
    assert unlikeness(seen(scene()), seen(scene())) == pytest.approx(0, abs=1e-4)


def test_light_that_falls_on_everything_changes_nothing() -> None:
    brighter = np.clip(scene().astype(np.float32) * 0.6 + 20, 0, 255).astype(np.uint8)
    assert unlikeness(seen(scene()), seen(brighter)) < 0.01


def test_a_small_shift_is_forgiven() -> None:
    assert unlikeness(seen(smooth(1)), seen(smooth(1, 16))) < 0.1


def test_two_flat_pictures_are_alike_and_a_flat_one_is_unlike_any_other() -> None:
    black, white = np.zeros((240, 320, 3), np.uint8), np.full((240, 320, 3), 255, np.uint8)
    assert unlikeness(seen(black), seen(white)) == 0.0
    assert unlikeness(seen(black), seen(scene())) == 1.0
    assert unlikeness(seen(scene()), seen(black)) == 1.0


def test_another_scene_is_a_cut_and_what_follows_it_is_none() -> None:
    cuts = Cuts(seen(smooth(1)))
    shown = [smooth(1)] * 3 + [smooth(2)] * 4
    assert [cuts.update(seen(p)) for p in shown] == [False] * 3 + [True] + [False] * 3


def test_another_person_before_the_same_wall_is_a_cut() -> None:
    cuts = Cuts(seen(scene(person=1)))
    shown = [scene(person=1)] * 3 + [scene(person=2)] * 3
    assert [cuts.update(seen(p)) for p in shown] == [False] * 3 + [True] + [False] * 2


def test_a_quick_movement_is_no_cut() -> None:
    cuts = Cuts(seen(smooth(1)))
    places = [0, 2, 6, 14, 26, 38, 38, 30, 14, 0]
    assert not any(cuts.update(seen(smooth(1, x))) for x in places)


def test_a_flash_of_light_is_no_cut() -> None:
    cuts = Cuts(seen(smooth(1)))
    gains = [1.0, 1.0, 1.5, 1.8, 1.2, 1.0, 0.4, 1.0]
    shown = [np.clip(smooth(1).astype(np.float32) * g, 0, 255).astype(np.uint8) for g in gains]
    assert not any(cuts.update(seen(p)) for p in shown)


def test_noise_of_a_dark_camera_is_no_cut() -> None:
    noise = np.random.default_rng(0)
    dark = [np.clip(12 + noise.normal(0, 6, (240, 320, 3)), 0, 255).astype(np.uint8) for _ in range(30)]
    cuts = Cuts(seen(dark[0]))
    assert not any(cuts.update(seen(p)) for p in dark)
