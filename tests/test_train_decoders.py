"""Decoders: they learn to paint faces, leave held-out people alone, and make pseudo-fakes where a bank has them."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from stream.cli import main
from stream.contract import Contract
from stream.errors import DataError, UsageError
from tests.trainset import portrait_bank
from train.bank import DECODERS, Bank, Source, gather, held_out
from train.decoders import SPECS, Autoencoder, Decoders, decoders_of, fit_decoders
from train.pseudo import Frames, Rng
from train.recipe import Recipe
from train.synthesize import samples
from train.twins import Mix, Synthetic

HALF = 23  # of 40, as seed 1 draws them
STACK = Contract(input="stack", size=32, mean=(0.5,) * 6, std=(0.25,) * 6)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small batches, for what is tested here does not need good painters."""
    monkeypatch.setattr("train.decoders._BATCH", 2)
    monkeypatch.setattr("train.decoders._CROP", 48)


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    """Twelve people of one moment each, two frames."""
    return portrait_bank(tmp_path, [(Source(f"{k}.mp4", "real", f"person{k}"), 2) for k in range(12)], 112, 60.0)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: str(spec[0]))
def test_every_decoder_paints_a_picture_of_the_same_size(spec: tuple[str, int, int]) -> None:
    painted = Autoencoder(*spec)(torch.rand(2, 3, 48, 64))
    assert painted.shape == (2, 3, 48, 64)


def test_decoders_learn_to_paint_what_they_see(bank: Bank) -> None:
    true = torch.from_numpy(bank.regions(bank.moments[0]) / np.float32(255)).permute(0, 3, 1, 2)

    def errors(steps: int) -> list[float]:
        """Of each decoder at its end; every second one is kept half way."""
        fit_decoders(bank, steps)
        with torch.inference_mode():
            return [float((n(true) - true).abs().mean()) for n in Decoders(bank.folder / DECODERS)._networks[1::2]]

    assert all(after < before for before, after in zip(errors(3), errors(30), strict=True))


def test_decoders_learn_from_no_held_out_person_and_from_no_fake(bank: Bank) -> None:
    fit_decoders(bank, steps=2)
    expected = (bank.folder / DECODERS).read_bytes()
    alone = Bank(bank.folder)
    unseen = [m for m in bank.moments if held_out(m)]
    fakes = [replace(m, source=replace(m.source, label="fake")) for m in bank.moments]
    assert unseen
    alone.moments = [*bank.moments, *fakes, *unseen]
    fit_decoders(alone, steps=2)
    assert (bank.folder / DECODERS).read_bytes() == expected
    alone.moments = [*fakes, *unseen]
    with pytest.raises(DataError, match="gather more people"):
        fit_decoders(alone, steps=2)


def test_photographs_alone_are_refused_before_any_training(bank: Bank) -> None:
    bank.moments = [replace(m, source=replace(m.source, still=True)) for m in bank.moments]
    with pytest.raises(DataError, match="no real clip"):
        fit_decoders(bank, steps=1)


def test_painting_changes_the_detail_of_every_frame_and_keeps_its_colours(bank: Bank) -> None:
    fit_decoders(bank, steps=1)
    decoders, frames = Decoders(bank.folder / DECODERS), bank.regions(bank.moments[0])
    for seed in range(4):
        painted = decoders(frames, np.random.default_rng(seed))
        assert painted.shape == frames.shape and painted.dtype == np.uint8
        for before, after in zip(frames, painted, strict=True):
            error = after.astype(np.float32) - before
            assert np.abs(error).mean() > 2
            assert np.abs(cv2.GaussianBlur(error, (0, 0), 20)).mean() < 1


def test_painting_is_the_same_in_a_worker_with_any_number_of_threads_and_at_any_precision(bank: Bank) -> None:
    fit_decoders(bank, steps=1)
    decoders, frames = Decoders(bank.folder / DECODERS), bank.regions(bank.moments[0])
    threads = torch.get_num_threads()
    for seed in range(4):
        expected = decoders(frames, np.random.default_rng(seed))
        sent = pickle.loads(pickle.dumps(decoders))
        try:
            torch.set_num_threads(1)
            assert np.array_equal(sent(frames, np.random.default_rng(seed)), expected)
        finally:
            torch.set_num_threads(threads)
        with torch.autocast("cpu", torch.bfloat16):
            assert np.array_equal(decoders(frames, np.random.default_rng(seed)), expected)


class Recorder:
    """A painter that counts, and paints everything one colour."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, frames: Frames, rng: Rng) -> Frames:
        self.calls += 1
        return np.full_like(frames, (0, 255, 0))


@pytest.mark.parametrize("method", ["swap", "lips", "repaint"])
@pytest.mark.parametrize(("share", "painted"), [(0.0, 0), (1.0, 20)])
def test_a_share_of_the_pseudo_fakes_is_painted(bank: Bank, method: str, share: float, painted: int) -> None:
    paint = Recorder()
    mix = Mix(decoded=share, degraded=0.0)
    twins = Synthetic(bank, STACK, mix, 1, decode=paint)
    images = [twins.twins(i, method)[0] for i in range(20)]
    assert paint.calls == painted
    green = [[int((i[..., 1].astype(int) - i[..., 0] > 100).sum()) for i in pair] for pair in images]
    assert all(original == 0 for _, original in green)
    if painted and method != "swap":  # a swap's colours are matched
        assert all(altered > 0 for altered, _ in green)


def test_half_of_them_are_painted_where_half_is_asked_for(bank: Bank) -> None:
    paint = Recorder()
    twins = Synthetic(bank, STACK, Mix(decoded=0.5), 1, decode=paint)
    for index in range(40):
        twins.twins(index, "swap")
    assert paint.calls == HALF


def test_samples_say_once_decoders_paint_them(bank: Bank) -> None:
    recipe = Recipe(data="synthetic")
    before = samples(bank.folder, STACK, "train", recipe).made_of
    fit_decoders(bank, steps=1)
    after = samples(bank.folder, STACK, "train", recipe).made_of
    assert (before, after) == (
        "twins of 11 real clips (11 people)",
        "twins of 11 real clips (11 people); decoders painted too",
    )


def test_a_recipe_without_decoders_makes_the_same_samples_beside_them(bank: Bank) -> None:
    recipe = Recipe(data="synthetic", options={"decoded": 0.0})
    before = [samples(bank.folder, STACK, part, recipe).sample(0, 0)[0] for part in ("train", "valid")]
    fit_decoders(bank, steps=1)
    after = [samples(bank.folder, STACK, part, recipe).sample(0, 0)[0] for part in ("train", "valid")]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    "options", [{"decoded": 2.0}, {"stills": "x"}, {"methods": [1.0]}, {"epoch": "x"}, {"valid": -1}]
)
def test_options_that_are_no_shares_or_numbers_are_one_clear_error(bank: Bank, options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="options for synthetic data are wrong"):
        samples(bank.folder, STACK, "train", Recipe(data="synthetic", options=options))


def test_a_bank_without_decoders_has_none_and_a_broken_file_is_one_clear_error(bank: Bank) -> None:
    assert decoders_of(bank) is None
    for broken in (b"no decoders", b""):
        (bank.folder / DECODERS).write_bytes(broken)
        with pytest.raises(DataError, match="flowtell train decoders"):
            decoders_of(bank)
    torch.save({"decoders": [{"spec": SPECS[0], "state": {}}]}, bank.folder / DECODERS)
    with pytest.raises(DataError, match="flowtell train decoders"):
        decoders_of(bank)


def test_a_bank_gathered_anew_keeps_no_old_decoders(bank: Bank) -> None:
    fit_decoders(bank, steps=1)
    gather([], bank.folder, bank.folder / "none.onnx", workers=1)
    assert not (bank.folder / DECODERS).exists()


def test_the_command_leaves_decoders_and_a_new_contact_sheet(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["train", "decoders", str(bank.folder), "--steps", "2"])
    assert left.value.code == 0
    assert (bank.folder / DECODERS).exists() and (bank.folder / "sheet.png").exists()
    assert "8 decoders" in capsys.readouterr().out
