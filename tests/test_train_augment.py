"""Augmentation: off it changes nothing, on it changes both crops of a pair alike, and always in the same way."""

from __future__ import annotations

from dataclasses import fields

import cv2
import numpy as np
import pytest
from trainset import noise

from stream.errors import UsageError
from train.augment import Augment, augment

NAMES = [f.name for f in fields(Augment)]
CROP = noise(np.random.default_rng(0), 224)  # as large as blur is measured by


def test_off_the_crops_come_back_byte_for_byte() -> None:
    first, second = augment(CROP, CROP.copy(), Augment(), np.random.default_rng(0))
    assert first is CROP
    assert second.tobytes() == CROP.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_each_change_keeps_shape_and_repeats_itself(name: str) -> None:
    one, again = (augment(CROP, CROP, Augment(**{name: 1.0}), np.random.default_rng(5)) for _ in range(2))
    for crop, same in zip(one, again, strict=True):
        assert (crop.shape, crop.dtype) == (CROP.shape, np.uint8)
        assert crop.flags["C_CONTIGUOUS"]
        assert crop.tobytes() == same.tobytes() != CROP.tobytes()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "noise"])
def test_both_crops_are_changed_alike(name: str) -> None:
    first, second = augment(CROP, CROP, Augment(**{name: 1.0}), np.random.default_rng(2))
    assert first.tobytes() == second.tobytes()


def test_noise_differs_between_the_crops_as_in_a_camera() -> None:
    first, second = augment(CROP, CROP, Augment(noise=1.0), np.random.default_rng(2))
    assert first.tobytes() != second.tobytes()


def test_a_flip_is_a_mirror() -> None:
    first, second = augment(CROP, CROP[::-1].copy(), Augment(flip=1.0), np.random.default_rng(0))
    assert np.array_equal(first, cv2.flip(CROP, 1))
    assert np.array_equal(second, cv2.flip(CROP[::-1].copy(), 1))


def test_chances_are_met() -> None:
    mirrored = cv2.flip(CROP, 1)
    flips = [
        np.array_equal(augment(CROP, CROP, Augment(flip=0.25), np.random.default_rng(i))[0], mirrored)
        for i in range(400)
    ]
    assert 0.18 < np.mean(flips) < 0.32


def test_switching_one_change_off_leaves_the_choice_of_the_others() -> None:
    for seed in range(20):
        alone = augment(CROP, CROP, Augment(flip=0.5), np.random.default_rng(seed))[0]
        beside = augment(CROP, CROP, Augment(flip=0.5, compress=1e-9), np.random.default_rng(seed))[0]
        assert np.array_equal(alone, beside)


def test_an_impossible_chance_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'blur' must lie in \[0, 1\]"):
        Augment(blur=1.5)
