"""stream.quality: blur and darkness of a face in units that mean something."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from stream.pairing import cut
from stream.pictures import ArrayPicture
from stream.quality import quality
from stream.records import Box, Image
from stream.verdict import Limits

FACE = Box.square(223, 122, 120)
LIMITS = Limits()


def crop(scale: float = 1.0, size: int = 224) -> Image:
    """The portrait's face with the contract's margin, from a picture ``scale`` times as large."""
    bgr = np.asarray(cv2.resize(np.ascontiguousarray(astronaut()[..., ::-1]), None, fx=scale, fy=scale), np.uint8)
    return cut(ArrayPicture(bgr), FACE.scaled(scale), 0.2, size)


def blurred(share: float) -> Image:
    """The portrait's face blurred with a deviation of ``share`` of the face's side (160 pixels of the crop)."""
    return np.asarray(cv2.GaussianBlur(crop(2.0), (0, 0), share * 160), np.uint8)


def darkened(gain: float) -> Image:
    return np.asarray(crop() * gain, np.uint8)


def test_a_portrait_in_focus_and_good_light_is_within_the_limits() -> None:
    seen = quality(crop(), 0.2)
    assert seen.blur < LIMITS.max_blur
    assert seen.light > LIMITS.min_light


@pytest.mark.parametrize("share", [0.03, 0.04, 0.06])
def test_blur_is_measured_as_a_share_of_the_face(share: float) -> None:
    assert quality(blurred(share), 0.2).blur == pytest.approx(share, rel=0.25)


def test_a_face_blurred_by_4_percent_of_its_side_is_too_blurred() -> None:
    assert quality(blurred(0.04), 0.2).blur > LIMITS.max_blur


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_a_face_in_focus_is_as_sharp_however_large_it_is(scale: float) -> None:
    assert quality(crop(scale), 0.2).blur < 0.025


@pytest.mark.parametrize("size", [64, 112, 224])
def test_the_size_of_the_contracts_crops_hardly_matters(size: int) -> None:
    assert quality(crop(2.0, size), 0.2).blur < LIMITS.max_blur


def test_light_is_the_luma_that_a_tenth_of_the_face_exceeds() -> None:
    half = np.full((224, 224, 3), 50, np.uint8)
    half[:, :112] = 150
    assert quality(half, 0.0).light == 150
    assert quality(np.full((224, 224, 3), 37, np.uint8), 0.2).light == 37


def test_a_face_in_the_dark_is_too_dark_and_one_in_half_the_light_is_not() -> None:
    assert quality(darkened(0.1), 0.2).light < LIMITS.min_light
    assert quality(darkened(0.5), 0.2).light > LIMITS.min_light


def test_only_the_face_is_measured_not_what_lies_around_it() -> None:
    dark_wall = crop()
    dark_wall[:30] = dark_wall[-30:] = dark_wall[:, :30] = dark_wall[:, -30:] = 0
    assert quality(dark_wall, 0.2) == quality(crop(), 0.2)


def test_a_picture_without_any_edge_is_too_blurred() -> None:
    assert quality(np.full((64, 64, 3), 128, np.uint8), 0.2).blur > LIMITS.max_blur
