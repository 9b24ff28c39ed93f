"""stream.pictures: whatever a picture is asked for equals what the whole picture in colour would give."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.pictures import ArrayPicture, Picture, VideoPicture
from stream.records import Image
from tests.scenes import pattern, scene


def decoded(size: tuple[int, int], pixel_format: str = "yuv420p") -> VideoPicture:
    """A picture as a decoder gives it, of (rows, columns)."""
    smooth = cv2.GaussianBlur(pattern(5, size), (0, 0), 2)
    return VideoPicture(
        av.VideoFrame.from_ndarray(np.asarray(smooth, np.uint8), format="bgr24").reformat(format=pixel_format)
    )


def cut_out(bgr: Image, x: int, y: int, w: int, h: int) -> Image:
    """A region with replicated borders, the slow and obvious way."""
    rows = np.clip(np.arange(y, y + h), 0, bgr.shape[0] - 1)
    columns = np.clip(np.arange(x, x + w), 0, bgr.shape[1] - 1)
    return bgr[rows][:, columns]


@settings(max_examples=150, deadline=None)
@given(st.integers(-60, 90), st.integers(-60, 70), st.integers(1, 100), st.integers(1, 100))
def test_a_crop_repeats_the_border_outside_the_picture(x: int, y: int, w: int, h: int) -> None:
    bgr = pattern(3, (48, 64))
    assert np.array_equal(ArrayPicture(bgr).crop(x, y, w, h), cut_out(bgr, x, y, w, h))


@pytest.mark.parametrize("size", [(48, 64), (48, 63)])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuv422p", "rgb24"])
def test_a_crop_of_a_decoded_picture_equals_that_part_of_the_whole(size: tuple[int, int], pixel_format: str) -> None:
    picture = decoded(size, pixel_format)
    whole = picture.bgr()
    assert whole.shape == (*size, 3)
    for region in [
        (0, 0, 10, 10),
        (3, 5, 17, 9),
        (-8, -4, 40, 30),
        (50, 40, 30, 30),
        (-200, 10, 20, 5),
        (0, 0, 64, 48),
    ]:
        assert np.array_equal(picture.crop(*region), cut_out(whole, *region)), region


def test_a_crop_of_a_picture_of_odd_height_differs_from_the_whole_by_no_more_than_how_colour_is_interpolated() -> None:
    picture = decoded((47, 64))
    whole = picture.bgr()
    for region in [(0, 0, 10, 10), (50, 40, 30, 30), (0, 0, 64, 47)]:
        difference = np.abs(picture.crop(*region).astype(int) - cut_out(whole, *region))
        assert difference.mean() < 6


def test_a_small_gray_picture_is_never_longer_than_asked_and_tells_its_factor() -> None:
    for picture in (ArrayPicture(scene()), decoded((240, 320))):
        gray, factor = picture.gray(160)
        assert gray.shape == (120, 160)
        assert factor == 2.0
        assert picture.gray(1000)[0].shape == (240, 320)
        assert picture.gray(1000)[1] == 1.0


def test_a_decoded_pictures_gray_is_its_luma_untouched() -> None:
    video = decoded((48, 64))
    luma = video.gray(64)[0]
    assert np.array_equal(luma, video.samples(0, 0, 64, 48, 64))


@pytest.mark.parametrize("picture", [ArrayPicture(scene()), decoded((240, 320)), decoded((240, 320), "rgb24")])
def test_samples_are_every_nth_pixel_of_the_part_inside(picture: Picture) -> None:
    every = picture.samples(0, 0, 320, 240, 320)
    assert every.shape == (240, 320)
    assert np.array_equal(picture.samples(0, 0, 320, 240, 80), every[::4, ::4])
    assert np.array_equal(picture.samples(40, 20, 100, 60, 50), every[20:80:2, 40:140:2])
    assert np.array_equal(picture.samples(-50, 200, 100, 100, 100), every[200:240, 0:50])


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_an_array_that_is_no_picture_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be \\(H, W, 3\\) uint8"):
        ArrayPicture(bad)
