"""Decoders: they learn to paint faces, leave held-out people alone, and make pseudo-fakes where a bank has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from stream.cli import main
from stream.contract import Contract
from stream.errors import DataError
from tests.trainset import portrait_bank
from train.bank import Bank, Source, held_out
from train.decoders import FILE, SPECS, Autoencoder, Decoders, decoders_of, fit_decoders
from train.twins import Mix, Synthetic

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
            return [float((n(true) - true).abs().mean()) for n in Decoders(bank.folder / FILE)._networks[1::2]]

    assert all(after < before for before, after in zip(errors(3), errors(30), strict=True))


def test_decoders_never_see_people_held_out(bank: Bank) -> None:
    assert any(held_out(m) for m in bank.moments)
    fit_decoders(bank, steps=2)
    expected = (bank.folder / FILE).read_bytes()
    pixels = np.fromfile(bank.folder / "pixels.u8", np.uint8)
    for m in bank.moments:
        if held_out(m):
            pixels[m.offset : m.offset + m.frames * m.side * m.side * 3] = 255
    bank._pixels = pixels
    fit_decoders(bank, steps=2)
    assert (bank.folder / FILE).read_bytes() == expected


def test_painting_is_repeatable_and_changes_every_frame_alike_in_size(bank: Bank) -> None:
    fit_decoders(bank, steps=1)
    decoders, frames = Decoders(bank.folder / FILE), bank.regions(bank.moments[0])
    once, again = (decoders(frames, np.random.default_rng(3)) for _ in "12")
    assert once.shape == frames.shape and once.dtype == np.uint8
    assert np.array_equal(once, again)
    assert not np.array_equal(once, frames)


def test_a_bank_with_decoders_paints_its_share_of_the_pseudo_fakes(bank: Bank) -> None:
    plain = [Synthetic(bank, STACK, Mix(), 1).twins(i, "repaint")[0] for i in range(8)]
    fit_decoders(bank, steps=1)
    painted = [Synthetic(bank, STACK, Mix(decoded=1.0), 1).twins(i, "repaint")[0] for i in range(8)]
    assert all(not np.array_equal(a[0], b[0]) for a, b in zip(plain, painted, strict=True))


def test_a_bank_without_decoders_has_none_and_a_broken_file_is_one_clear_error(bank: Bank) -> None:
    assert decoders_of(bank) is None
    (bank.folder / FILE).write_bytes(b"no decoders")
    with pytest.raises(DataError, match="flowtell train decoders"):
        decoders_of(bank)


def test_the_command_leaves_decoders_and_a_new_contact_sheet(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["train", "decoders", str(bank.folder), "--steps", "1"])
    assert left.value.code == 0
    assert (bank.folder / FILE).exists() and (bank.folder / "sheet.png").exists()
    assert "4 decoders" in capsys.readouterr().out
