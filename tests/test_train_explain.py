from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stream.contract import Contract
from stream.errors import DataError
from stream.records import Box, Pair
from tests.tiny import tiny_model
from tests.trainset import portrait_video
from train.explain import TILE, Shown, average_sheet, explain, heat, hide, occlusion, pick, sheet
from train.manifest import Clip
from train.report import Setting


def spotted(row: int, column: int) -> Pair:
    """A gray crop, 64 px, with a white spot in one of 8 x 8 patches."""
    crop = np.full((64, 64, 3), 100, np.uint8)
    crop[row * 8 + 2 : row * 8 + 6, column * 8 + 2 : column * 8 + 6] = 255
    return Pair(1, 1.0, 0.04, crop, crop, Box(0, 0, 50, 50), 50.0)


def brightest(pairs: Sequence[Pair]) -> NDArray[np.float32]:
    return np.array([pair.second.max() / 255 for pair in pairs], np.float32)


def test_occlusion_finds_the_patch_that_the_answer_rests_on() -> None:
    p_fake, saliency = occlusion(spotted(2, 5), lambda: brightest)
    assert p_fake == 1.0
    assert saliency.shape == (8, 8)
    assert np.unravel_index(saliency.argmax(), saliency.shape) == (2, 5)
    assert saliency[6, 1] == 0


def test_a_patch_is_hidden_in_its_place_alone_and_the_crop_is_not_written_to() -> None:
    crop = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    before = crop.copy()
    hidden = hide(crop, 0, 7, 8)
    assert np.array_equal(crop, before)
    assert np.array_equal(hidden[:, :50], crop[:, :50])
    assert np.array_equal(hidden[12:], crop[12:])
    assert hidden[:8, 56:].std() < 0.5 * crop[:8, 56:].std()


def test_heat_is_red_for_fake_and_blue_for_real() -> None:
    crop = np.full((32, 32, 3), 128, np.uint8)
    saliency = np.zeros((4, 4), np.float32)
    saliency[:, :2], saliency[:, 2:] = 0.5, -0.5
    blue, _, red = heat(crop, saliency, 0.5)[16, 2].astype(int)
    assert red > blue
    blue, _, red = heat(crop, saliency, 0.5)[16, 29].astype(int)
    assert blue > red


def test_the_most_wrong_and_the_most_right_of_each_class_are_picked() -> None:
    wrong_by = [0.1, 0.9, 0.5, 0.2, 0.8, 0.4]
    fake = [False, False, False, True, True, True]
    assert pick(wrong_by, fake, 4) == [0, 1, 3, 4]
    assert pick(wrong_by, fake, 100) == [0, 1, 2, 3, 4, 5]


def shown(label: str, p_fake: float) -> Shown:
    pair = spotted(1, 1)
    clip = Clip(f"{label}.mp4", Path("x"), "fake" if label == "fake" else "real", "toy")
    return Shown(clip, pair, np.zeros((64, 64, 6), np.uint8), p_fake, np.eye(8, dtype=np.float32))


def test_the_sheet_has_a_row_for_each_clip_with_the_most_wrong_first() -> None:
    clips = [shown("real", 0.1), shown("fake", 0.2)]
    picture = sheet(clips)
    assert picture.shape == (2 * TILE, 5 * TILE, 3)
    assert np.array_equal(picture, sheet(clips[::-1]))
    assert not np.array_equal(picture[:TILE], sheet([replace(clips[0])]))


def test_the_means_have_four_kinds() -> None:
    assert average_sheet([shown("real", 0.1), shown("fake", 0.2)]).shape[1] == 4 * TILE


def test_nothing_to_show_is_an_error() -> None:
    with pytest.raises(DataError, match="nothing to show"):
        sheet([])


def test_clips_are_scored_looked_into_and_drawn(tmp_path: Path) -> None:
    contract = Contract(input="rgb", size=32, min_pairs=2)
    setting = Setting(tiny_model(tmp_path / "t.onnx", contract), device="cpu")
    clips = [
        Clip("r.mp4", portrait_video(tmp_path / "r.mp4", 8), "real"),
        Clip("f.mp4", portrait_video(tmp_path / "f.mp4", 8, fake=True), "fake", "toy"),
    ]
    done: list[str] = []
    found = explain(clips, setting, tmp_path / "out", 4, on_clip=done.append)
    assert [s.clip.name for s in found] == ["r.mp4", "f.mp4"]
    assert done == ["scored", "scored", "looked into", "looked into"]
    picture = cv2.imread(str(tmp_path / "out" / "clips.png"))
    assert picture is not None
    assert picture.shape == (2 * TILE, 5 * TILE, 3)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"clips.png", "means.png", "saliency.json"}
