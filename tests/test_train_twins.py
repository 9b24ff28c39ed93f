"""Twins and the face bank: held-out people stay out, twins differ by the fake alone, draws repeat."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from skimage.data import astronaut

from stream.contract import Contract
from stream.errors import DataError, UsageError
from stream.pictures import Picture
from stream.records import Box, Face
from tests.clips import write_clip
from tests.trainset import portrait_bank
from train.bank import PIXELS, Bank, Source, _moments, held_out, is_original
from train.dataset import ALTERED, ORIGINAL
from train.fit import Setting, fit
from train.models import read_checkpoint
from train.pseudo import TEMPLATE
from train.recipe import Recipe
from train.synthesize import TwinSamples, contact_sheet, samples
from train.twins import METHODS, Mix, Synthetic

SIDE, FACE = 128, 60.0
STACK = Contract(input="stack", size=32, mean=(0.5,) * 6, std=(0.25,) * 6)
PEOPLE = [f"person{i}" for i in range(12)]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    """Twelve people of one moment each (three frames of a moving portrait), a still of each, one real deepfake."""
    names, sources = [*PEOPLE, *PEOPLE, PEOPLE[0]], list[tuple[Source, int]]()
    for k, name in enumerate(names):
        still, fake = len(PEOPLE) <= k < 2 * len(PEOPLE), k == 2 * len(PEOPLE)
        source = Source(f"{k}.mp4", "fake" if fake else "real", name, pair="p" if k in (0, 24) else "", still=still)
        sources.append((source, 1 if still else 3))
    return portrait_bank(tmp_path_factory.mktemp("bank"), sources, SIDE, FACE)


def test_a_bank_gives_back_the_pixels_that_were_written(bank: Bank) -> None:
    regions = bank.regions(bank.moments[1])
    assert regions.shape == (3, SIDE, SIDE, 3)
    assert np.array_equal(regions[2], astronaut()[23:][:SIDE, 151:][:, :SIDE, ::-1])


def test_a_folder_without_a_bank_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="flowtell train synthesize"):
        Bank(tmp_path)


def test_twins_are_repeatable_and_differ_only_by_the_fake(bank: Bank) -> None:
    twins = Synthetic(bank, STACK, Mix(), seed=5)
    for index, method in enumerate((*METHODS, "deepfake")):
        images, made_by = twins.twins(index, method)
        again, _ = Synthetic(bank, STACK, Mix(), seed=5).twins(index, method)
        assert made_by == method
        assert images.shape == (2, 32, 32, 6)
        assert np.array_equal(images, again)
        assert not np.array_equal(images[0], images[1])


def test_pairs_lie_one_to_three_frames_apart(bank: Bank) -> None:
    # Four frames of 10, 11, 12 and 13 gray levels: what lies between the two of a pair is their gap.
    levels = np.repeat(np.arange(10, 14, dtype=np.uint8), SIDE * SIDE * 3)
    grown = Bank(bank.folder)
    grown._pixels = levels
    first = bank.moments[0]
    moment = replace(first, offset=0, frames=4, landmarks=first.landmarks[:1] * 4)
    twins, draws = Synthetic(grown, STACK, Mix(), 1), np.random.default_rng(0)
    shots = [twins._shot(moment, draws, 1.0).frames[:, 0, 0, 0].tolist() for _ in range(200)]
    gaps = Counter(second - first for first, second in shots)
    assert {first for first, _ in shots} == {10}
    # Of 15 frames a second two frames apart are all that a live pair spans (0.15 s), of 5 a second one.
    for rate, widest in ((15.0, 2), (5.0, 1)):
        slow = replace(moment, gap_s=1 / rate)
        assert {int(twins._shot(slow, draws, 1.0).frames[1, 0, 0, 0]) - 10 for _ in range(50)} == {
            *range(1, widest + 1)
        }
    assert gaps == {1: 119, 2: 51, 3: 30}


def test_a_network_that_sees_both_crops_is_told_of_a_change_in_either(bank: Bank) -> None:
    # Reenacting leaves one of the two frames as it was.
    twins = Synthetic(bank, STACK, Mix(degraded=0.0), 1)
    assert all(twins.located(index, "reenact")[1].any() for index in range(20))


def test_a_still_comes_alive_with_fresh_noise(bank: Bank) -> None:
    twins, still = Synthetic(bank, STACK, Mix(), 1), next(m for m in bank.moments if m.source.still)
    shots = [twins._shot(still, np.random.default_rng(seed), 1.0).frames.astype(int) for seed in (1, 2)]
    corner = np.s_[:8, :8]
    assert not np.array_equal(shots[0][0][corner], shots[1][0][corner])  # frame 0 does not move


class OneFace:
    """Stands for YuNet: the brighter the picture, the larger the face."""

    def __init__(self, file: Path) -> None:
        pass

    def find(self, picture: Picture) -> list[Face]:
        side = 40 + round(float(picture.bgr().mean()) / 10)
        return [Face(Box(10, 10, side, side), 0.9, TEMPLATE * np.float32(side) + 10)]


def test_a_fake_is_cut_where_its_originals_face_is_unless_it_has_another_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.bank.YunetFaces", OneFace)
    pictures = {"real": (40, 12), "fake": (200, 12), "short": (200, 9)}
    for name, (level, frames) in pictures.items():
        write_clip(tmp_path / f"{name}.mp4", frames, (96, 80), picture=np.full((80, 96, 3), level, np.uint8))
    real = Source(str(tmp_path / "real.mp4"), "real", "anna", pair="p")
    fake, short = (Source(str(tmp_path / f"{k}.mp4"), "fake", "bob|anna", "swap", "p") for k in ("fake", "short"))
    assert is_original(real, fake) and not is_original(fake, real)
    assert not is_original(replace(real, identity="carl"), fake)
    assert not is_original(replace(real, pair=""), replace(fake, pair=""))

    def faces_px(source: Source, partner: Source | None) -> list[float]:
        found = _moments((source, partner, tmp_path, 3))
        assert not isinstance(found, str)
        return [face_px for _, _, face_px, _ in found]

    assert faces_px(real, None) == faces_px(fake, real) == [44.0] * 3
    assert faces_px(fake, None) == faces_px(short, real) == [60.0] * 3


def test_held_out_people_are_in_no_training_sample(bank: Bank) -> None:
    training = [m for m in bank.moments if not held_out(m)]
    valid = [m for m in bank.moments if held_out(m)]
    assert valid
    assert not {m.source.identity for m in training} & {m.source.identity for m in valid}
    # A bank whose held-out pixels are poisoned gives the same training samples.
    expected = [Synthetic(bank, STACK, Mix(), 1, training).twins(i)[0] for i in range(6)]
    poisoned = Bank(bank.folder)
    pixels = np.fromfile(bank.folder / PIXELS, np.uint8)
    for m in valid:
        pixels[m.offset : m.offset + m.frames * m.side * m.side * 3] = 255
    poisoned._pixels = pixels
    got = [Synthetic(poisoned, STACK, Mix(), 1, training).twins(i)[0] for i in range(6)]
    assert all(np.array_equal(a, b) for a, b in zip(expected, got, strict=True))


def test_a_clip_of_a_held_out_person_and_another_is_in_neither_part(bank: Bank) -> None:
    one = {held_out(m): m.source.identity for m in bank.moments}
    first = bank.moments[0]
    both = replace(first, source=replace(first.source, identity=f"{one[True]}|{one[False]}"))
    assert held_out(both) and not held_out(both, of=all)


def test_a_part_without_real_clips_is_one_clear_error(bank: Bank) -> None:
    with pytest.raises(DataError, match="no real clip"):
        Synthetic(bank, STACK, Mix(), 1, [m for m in bank.moments if m.source.still])


def test_samples_alternate_altered_and_original_and_validation_repeats(bank: Bank) -> None:
    twins = Synthetic(bank, STACK, Mix(), 1)
    draws = TwinSamples(twins, 8)
    assert [draws.sample(0, i)[1] for i in range(4)] == [ALTERED, ORIGINAL] * 2
    assert np.array_equal(draws.sample(1, 3)[0], twins.twins(5)[0][1])
    assert draws.made_of == "twins of 12 real clips (12 people), 12 photographs, 1 deepfakes"
    located = TwinSamples(twins, 8, located=True).sample(1, 3)[0]
    assert np.array_equal(located[..., :6], twins.twins(5)[0][1])
    plain = Synthetic(bank, replace(STACK, input="rgb", mean=(0.5,) * 3, std=(0.2,) * 3), Mix(), 1)
    images, where, _ = plain.located(5)
    assert np.array_equal(where, np.rint(np.abs(images[0].astype(float) - images[1]).mean(-1)))
    assert np.array_equal(located[..., 6], twins.located(5)[1])
    assert (located[..., 6] >= where).all()  # it sees the older crop too
    fixed = TwinSamples(twins, 8, repeat=True)
    assert np.array_equal(fixed.sample(0, 3)[0], fixed.sample(7, 3)[0])


def test_the_recipe_options_reach_the_mix_and_unknown_ones_are_one_clear_error(bank: Bank) -> None:
    folder = bank.folder
    recipe = Recipe(data="synthetic", options={"epoch": 64, "valid": 10, "stills": 0.0, "degraded": 0.5})
    assert [len(samples(folder, STACK, part, recipe)) for part in ("train", "valid")] == [64, 10]
    with pytest.raises(UsageError, match="options"):
        samples(folder, STACK, "train", Recipe(data="synthetic", options={"speed": 1}))


def test_the_contact_sheet_shows_a_fake_an_original_and_a_residual_for_each_method(bank: Bank) -> None:
    assert contact_sheet(bank, STACK, 1).shape == (6 * 3 * 32, 9 * 32, 3)


def test_a_trapezoid_run_is_ended_sooner_by_fewer_epochs_and_one_that_depends_on_its_length_is_not(
    bank: Bank, tmp_path: Path
) -> None:
    recipe = Recipe(
        data="synthetic",
        batch=4,
        valid_batch=4,
        epochs=9,
        checkpoint_steps=1,
        schedule="trapezoid",
        contract={"input": "rgb", "size": 32},
        options={"epoch": 8, "valid": 4},
    )
    setting = Setting(accelerator="cpu", workers=0)

    def kill(step: int, total: int, loss: float) -> None:
        if step == 4:
            raise Killed

    with pytest.raises(Killed):
        fit(bank.folder, tmp_path, recipe, setting, on_step=kill)
    before = read_checkpoint(tmp_path / "last.pt")["stands"]["losses"]
    fit(bank.folder, tmp_path, replace(recipe, epochs=2), setting)
    after = read_checkpoint(tmp_path / "last.pt")["stands"]["losses"]
    assert (len(before), len(after), after[:3]) == (3, 4, before)
    with pytest.raises(UsageError, match="more than 1 epochs already"):
        fit(bank.folder, tmp_path, replace(recipe, epochs=1), setting)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["recipe"]["epochs"], config["epochs_before"]) == (2, [9])
    with pytest.raises(UsageError, match="another recipe"):
        fit(bank.folder, tmp_path, replace(recipe, epochs=2, lr=0.5), setting)
    cosine = replace(recipe, schedule="cosine", epochs=1)
    fit(bank.folder, tmp_path / "cosine", cosine, setting)
    with pytest.raises(UsageError, match="another recipe"):
        fit(bank.folder, tmp_path / "cosine", replace(cosine, epochs=2), setting)


class Killed(Exception):
    """Stands for a kill: no code of the run sees it."""


def test_fit_on_twins_with_the_dense_loss_goes_on_after_a_kill_to_the_same_result(bank: Bank, tmp_path: Path) -> None:
    recipe = Recipe(
        data="synthetic",
        dense=1.0,
        ema=0.9,
        batch=4,
        valid_batch=4,
        epochs=2,
        checkpoint_steps=1,
        schedule="trapezoid",
        optimizer="adamw",
        contract={"input": "stack", "size": 32, "mean": [0.5] * 6, "std": [0.25] * 6},
        options={"epoch": 8, "valid": 4},
    )
    setting = Setting(accelerator="cpu", workers=0)
    fit(bank.folder, tmp_path / "whole", recipe, setting)

    def kill(step: int, total: int, loss: float) -> None:
        if step == 3:
            raise Killed

    with pytest.raises(Killed):
        fit(bank.folder, tmp_path / "cut", recipe, setting, on_step=kill)
    fit(bank.folder, tmp_path / "cut", recipe, setting)
    whole, cut = (read_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "cut"))
    assert whole["stands"]["losses"] == cut["stands"]["losses"]
    assert all(np.array_equal(whole["model"][k].numpy(), v.numpy()) for k, v in cut["model"].items())
    assert not any(k.startswith("heads") for k in whole["model"])
