"""Pseudo-fakes on a self-made face: what each changes, what it must leave alone, and that seeds repeat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from skimage.data import astronaut

from train.degrade import Degrade, h264, jpeg
from train.pseudo import (
    TEMPLATE,
    Shot,
    Tone,
    animate,
    draw_mask,
    face_frames,
    grain,
    lips,
    match_colour,
    mix,
    place_mask,
    reenact,
    repaint,
    self_blend,
    swap,
)

SIDE, FACE = 160, 76.0
PLAIN = Degrade(skin=0.0, light=1.0, scale=1.0, blur=0.0, noise=0.0, tone=None, codec="none", quality=0, seed=0)


@pytest.fixture(scope="module")
def shot() -> Shot:
    picture = np.ascontiguousarray(astronaut()[20:180, 150:310, ::-1])
    corner = np.array([(SIDE - FACE) / 2] * 2, np.float32)
    marks = TEMPLATE * np.float32(FACE) + corner
    return Shot(np.stack([picture, picture]), np.stack([marks, marks]), FACE)


def rng(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_face_frame_carries_the_unit_square_onto_the_face(shot: Shot) -> None:
    matrix = face_frames(shot.landmarks)[0]
    assert np.allclose(matrix @ [0, 0, 1], [(SIDE - FACE) / 2] * 2, atol=1e-3)
    assert np.allclose(matrix @ [1, 1, 1], [(SIDE + FACE) / 2] * 2, atol=1e-3)


def test_a_placed_mask_stays_within_zero_and_one_and_away_from_the_border(shot: Shot) -> None:
    placed = place_mask(draw_mask(rng(), "face"), face_frames(shot.landmarks)[0], SIDE)
    assert placed.shape == (SIDE, SIDE, 1)
    assert placed.min() >= 0 and placed.max() <= 1
    assert placed[SIDE // 2, SIDE // 2, 0] > 0.3
    assert placed[0].max() == placed[-1].max() == 0


def test_mixing_gives_the_outer_picture_where_the_mask_is_zero_and_the_inner_where_it_is_one() -> None:
    inner, outer = np.full((2, 2, 3), 200, np.uint8), np.full((2, 2, 3), 100, np.uint8)
    mask = np.array([[0, 1], [0.5, 0.25]], np.float32)[..., None]
    assert mix(inner, outer, mask)[..., 0].tolist() == [[100, 200], [150, 125]]


def test_a_neutral_tone_changes_nothing(shot: Shot) -> None:
    assert np.array_equal(Tone((0, 0, 0), 1.0, 1.0, 1.0)(shot.frames[0]), shot.frames[0])


def test_colour_matching_brings_the_mean_to_the_target() -> None:
    image, target = np.full((8, 8, 3), 40, np.uint8), np.full((8, 8, 3), 90, np.uint8)
    assert match_colour(image, target, np.ones((8, 8), bool), 1.0).mean() == 90
    assert match_colour(image, target, np.zeros((8, 8), bool), 1.0) is image


@pytest.mark.parametrize("seed", range(6))
def test_a_self_blend_leaves_the_border_of_its_real_partner_alone_and_changes_the_face(shot: Shot, seed: int) -> None:
    fake, real = self_blend(shot, rng(seed))
    assert np.array_equal(fake[:, 0], real[:, 0])
    assert not np.array_equal(fake, real)


def test_every_method_gives_two_frames_of_the_same_shape_and_repeats_with_its_seed(shot: Shot) -> None:
    makers = {
        "swap": lambda r: swap(shot, shot, r),
        "lips": lambda r: lips(shot, animate(shot, r, 4.0), r),
        "repaint": lambda r: repaint(shot, r),
        "self_blend": lambda r: self_blend(shot, r)[0],
        "reenact": lambda r: reenact(shot, r),
    }
    for make in makers.values():
        once, twice, other = make(rng(1)), make(rng(1)), make(rng(2))
        assert once.shape == shot.frames.shape
        assert once.dtype == np.uint8
        assert np.array_equal(once, twice)
        assert not np.array_equal(once, other)


def test_lips_change_the_mouth_and_not_the_forehead(shot: Shot) -> None:
    fake = lips(shot, animate(shot, rng(), 4.0), rng(5))
    top = round((SIDE - FACE) / 2)
    assert np.array_equal(fake[:, :top], shot.frames[:, :top])
    assert not np.array_equal(fake, shot.frames)


def test_reenacting_carries_one_frames_texture_to_where_the_other_frame_is(shot: Shot) -> None:
    # Blue is missing from the second frame alone: a face carried from it lacks it in both, one from the first in none.
    moved = animate(shot, rng(), 2.0)
    moved.frames[1, ..., 0] = 0
    middle = np.s_[:, SIDE // 2 - 15 : SIDE // 2 + 15, SIDE // 2 - 15 : SIDE // 2 + 15, 0]
    true_blue = moved.frames[middle].mean(axis=(1, 2))[0]
    kept = [reenact(moved, rng(seed))[middle].mean(axis=(1, 2)) / true_blue for seed in range(20)]
    assert all(abs(first - second) < 0.5 for first, second in kept)
    assert {round(float(np.mean(pair))) for pair in kept} == {0, 1}


def test_grain_is_anew_in_every_frame_and_as_strong_as_asked() -> None:
    gray = grain(np.full((2, SIDE, SIDE, 3), 128, np.uint8), 3.0, rng())
    assert [round(float(frame.std())) for frame in gray] == [3, 3]
    assert not np.array_equal(gray[0], gray[1])


def test_animation_keeps_the_first_frame_and_moves_the_second(shot: Shot) -> None:
    moved = animate(shot, rng())
    assert np.array_equal(moved.frames[0], shot.frames[0])
    assert not np.array_equal(moved.frames[1], shot.frames[1])
    assert np.abs(moved.landmarks[1] - moved.landmarks[0]).max() < FACE * 0.1


def test_degrading_with_nothing_drawn_changes_nothing(shot: Shot) -> None:
    assert np.array_equal(PLAIN(shot.frames), shot.frames)


def test_the_dark_is_darker_and_grainy(shot: Shot) -> None:
    dark = replace(PLAIN, light=0.5)(np.full_like(shot.frames, 200))
    assert round(float(dark.mean())) == 100
    assert round(float(dark.std())) == 4  # gray levels of sensor noise
    assert not np.array_equal(dark[0], dark[1])


def test_a_beauty_filter_smooths_skin_and_keeps_edges() -> None:
    noisy = np.where(np.arange(SIDE) < SIDE // 2, 60, 190)[None, None, :, None] + rng(3).normal(
        0, 6, (2, SIDE, SIDE, 3)
    )
    smooth = replace(PLAIN, skin=50.0)(np.asarray(noisy, np.uint8))
    left, right = smooth[..., : SIDE // 2 - 2, :], smooth[..., SIDE // 2 + 2 :, :]
    assert left.std() < 3 > right.std()
    assert round(float(right.mean()) - float(left.mean())) == 130


def test_one_draw_degrades_two_pictures_alike(shot: Shot) -> None:
    for seed in range(8):
        draw = Degrade.draw(rng(seed))
        assert np.array_equal(draw(shot.frames), draw(shot.frames))


def test_codecs_keep_the_size_and_lose_more_at_lower_quality(shot: Shot) -> None:
    frame = shot.frames[0].astype(int)
    losses = [np.abs(jpeg(shot.frames[0], q).astype(int) - frame).mean() for q in (30, 95)]
    assert losses[0] > losses[1]
    there = h264(list(shot.frames), 20)
    assert [f.shape for f in there] == [(SIDE, SIDE, 3)] * 2
    assert (
        np.abs(there[0].astype(int) - frame).mean() < np.abs(h264(list(shot.frames), 45)[0].astype(int) - frame).mean()
    )
