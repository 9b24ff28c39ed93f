"""Synthetic motion: the flow is exact by construction, repeatable, and held-out pictures are never trained on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from stream.errors import DataError
from train.motion import LEAST_SHIFT, MOST_SHIFT, moving_pair, picture_files, random_flow, read_picture

PORTRAIT = np.ascontiguousarray(astronaut()[:300, 80:380, ::-1])


def test_moving_the_second_crop_back_along_the_flow_gives_the_first() -> None:
    size = 96
    ys, xs = np.mgrid[:size, :size].astype(np.float32)
    for seed in range(6):
        first, second, flow = moving_pair(PORTRAIT, size, np.random.default_rng(seed))
        back = cv2.remap(second, xs + flow[..., 0], ys + flow[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        inner = (slice(16, -16), slice(16, -16))
        difference = np.abs(back[inner].astype(float) - first[inner].astype(float)).mean()
        still = np.abs(second[inner].astype(float) - first[inner].astype(float)).mean()
        # Exposure (5 % and 4 levels) and noise remain; motion does not.
        assert difference < 12 and (difference < still or np.abs(flow).max() < 1)


def test_a_pair_is_a_function_of_its_seed_alone() -> None:
    one, again, other = (moving_pair(PORTRAIT, 64, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one[2], other[2])


def test_motions_are_as_small_and_as_large_as_promised() -> None:
    means = [np.linalg.norm(random_flow(128, np.random.default_rng(i)), axis=-1).mean() for i in range(200)]
    assert 128 * LEAST_SHIFT / 4 < min(means) < 1 < np.median(means) < 4 < max(means) < 128 * MOST_SHIFT * 4


def test_a_tenth_of_the_pictures_is_held_out_by_name(tmp_path: Path) -> None:
    for i in range(200):
        (tmp_path / f"{i}.jpg").write_bytes(b"")
    train, held = picture_files(tmp_path, held_out=False), picture_files(tmp_path, held_out=True)
    assert len(train) + len(held) == 200 and not set(train) & set(held) and 10 <= len(held) <= 30


def test_a_folder_without_pictures_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"needs pictures .* found 0"):
        picture_files(tmp_path, held_out=False)


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a.jpg is not a picture"):
        read_picture(tmp_path / "a.jpg")
