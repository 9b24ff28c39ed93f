"""Bands beside a ResNet18: what they read off, how they are weighed, and that nobody weighs them for himself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from export.onnx_file import export
from export.precision import convert
from stream.contract import Contract
from stream.errors import ContractError, DataError, UsageError
from stream.model import Model
from tests.test_train_judging import run
from tests.trainset import small_clips, small_store
from train.band_fit import _Read, _trial, fit_bands
from train.bands import LEVELS, RINGS, Bands, BandsNetwork
from train.metrics import groups
from train.models import build, load, read_checkpoint
from train.recipe import normalisation
from train.store import pairs_file

RINGED = len(RINGS) - 1
RGB = Contract(size=64, margin=0.1, input="rgb")
STACK = replace(RGB, input="stack", mean=normalisation(6)[0], std=normalisation(6)[1])


def noise(contrast: int, seed: int = 0) -> Tensor:
    """A gray picture of noise, (1, 64, 64, 3), ``contrast`` levels around the middle."""
    gray = np.random.default_rng(seed).integers(-contrast, contrast + 1, (1, 64, 64, 1)) + 128
    return torch.from_numpy(np.repeat(gray, 3, axis=3).astype(np.uint8))


def checkpoint(file: Path, contract: Contract, arch: str = "resnet18") -> Path:
    torch.manual_seed(0)
    told = {"arch": arch, "recipe": {"name": "toy"}, "contract": replace(contract, trained_on="toys").to_json()}
    torch.save({**told, "model": build(contract, arch).state_dict(), "optimizer": {}}, file)
    return file


def smooth_faces(folder: Path, contract: Contract, real: bool = False) -> Path:
    """A store of noise, whose fakes' faces are a little smooth (``real``: of reals alone)."""
    store = small_store(folder, contract, pairs=3)
    middle = slice(contract.size // 4, -contract.size // 4)
    rng = np.random.default_rng(1)
    for clip in small_clips():
        file = pairs_file(folder, clip)
        if real and clip.fake:
            file.unlink()
            continue
        rows = np.load(file)
        for row in rows:
            sharp = rng.integers(90, 160, (contract.size, contract.size, 3)).astype(np.uint8)
            if clip.fake:
                sharp[middle, middle] = cv2.GaussianBlur(sharp, (0, 0), 1)[middle, middle]
            row["first"], row["second"] = sharp, np.roll(sharp, 1, axis=1)
        np.save(file, rows)
    return store


def test_a_picture_has_a_number_for_each_plane_octave_and_ring() -> None:
    assert Bands(RGB)(noise(20)).shape == (1, 3 * LEVELS * RINGED)
    stacked = torch.cat([noise(20), noise(20, seed=1)], dim=3)
    assert Bands(STACK)(stacked).shape == (1, 4 * LEVELS * RINGED)


def test_a_plain_picture_has_none_and_contrast_as_a_whole_is_no_cue() -> None:
    bands = Bands(RGB)
    assert bands(torch.full((1, 64, 64, 3), 77, dtype=torch.uint8)).abs().max() < 1e-5
    luma = slice(0, LEVELS * RINGED)
    assert torch.allclose(bands(noise(20))[:, luma], bands((noise(20) - 128) * 3 + 128)[:, luma], atol=1e-4)


def test_a_smooth_middle_shows_in_the_inner_rings_finest_octave() -> None:
    picture = noise(40)
    plain = Bands(RGB)(picture).reshape(3, LEVELS, RINGED)
    blurred = picture.numpy().copy()
    blurred[0, 26:38, 26:38] = cv2.GaussianBlur(blurred[0], (0, 0), 2)[26:38, 26:38]
    change = Bands(RGB)(torch.from_numpy(blurred)).reshape(3, LEVELS, RINGED)[0, 0] - plain[0, 0]
    assert change[0] < -1  # to less than a third
    assert change[3:].min() > 0  # relative to the mean, all others rise


def test_blended_and_drawn_pictures_have_no_bands() -> None:
    with pytest.raises(ContractError, match="rgb or stack, not fused"):
        Bands(Contract(size=64))


def test_the_smallest_picture_has_finite_bands() -> None:
    tiny = replace(RGB, size=16)
    assert torch.isfinite(Bands(tiny)(noise(20)[:, :16, :16])).all()


def test_weights_make_the_logits_difference_what_they_say() -> None:
    torch.manual_seed(0)
    network = build(RGB, "resnet18-bands").eval()
    assert isinstance(network, BandsNetwork)
    weights = torch.randn(network.bands.count).tolist()
    network.weigh(2.0, weights, 0.25)
    image = noise(30)
    with torch.no_grad():
        altered, original = network(image)[0]
        body = network.body(network.normalise(image))[0]
        bands = network.bands(image)[0] @ torch.tensor(weights)
    assert float(altered - original) == pytest.approx(float(2 * (body[0] - body[1]) + bands + 0.25), abs=1e-4)


def test_eight_bits_leave_the_bands_as_they_are(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build(STACK, "resnet18-bands").eval()
    assert isinstance(network, BandsNetwork)
    network.weigh(0.0, torch.randn(network.bands.count).tolist(), 0.0)
    images = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 6), np.uint8)
    fp32 = export(network, STACK, tmp_path / "fp32.onnx")
    int8 = convert(fp32, tmp_path / "int8.onnx", "int8", images)
    with torch.no_grad():
        logits = network(torch.from_numpy(images[:8]))
    wanted = torch.sigmoid(logits[:, 0] - logits[:, 1]).numpy()
    assert Model(int8, "cpu")(list(images[:8])) == pytest.approx(wanted, abs=1e-4)


def test_nobody_is_scored_by_weights_that_were_fitted_on_his_own_clips() -> None:
    # As many random numbers as clips, the same for both clips of a person: whoever may look at the other clip of the
    # same person knows the label, and nobody else does.
    rng = np.random.default_rng(0)
    clips = [
        replace(c, label="fake" if k // 2 % 2 else "real", pair="", method="") for k, c in enumerate(small_clips(24))
    ]
    numbers = np.repeat(rng.normal(size=(12, 24)), 2, axis=0)
    reads = [_Read(c, np.zeros(1), n[None]) for c, n in zip(clips, numbers, strict=True)]
    leaking = _trial(reads, np.arange(24), 10.0)
    honest = _trial(reads, groups(clips), 10.0)
    assert leaking.auc == 1.0
    assert honest.auc < 0.75


def test_the_network_stays_and_its_second_opinion_is_fitted(tmp_path: Path) -> None:
    trained = checkpoint(tmp_path / "best.pt", RGB)
    store = smooth_faces(tmp_path / "store", RGB)
    best = fit_bands(trained, store, tmp_path / "bands.pt")
    assert (best.auc, best.in_order) == (1.0, (6, 6))
    network, contract = load(tmp_path / "bands.pt")
    assert isinstance(network, BandsNetwork)
    before = read_checkpoint(trained)["model"]
    assert all(torch.equal(value, before[f"body.{name}"]) for name, value in network.body.state_dict().items())
    told = read_checkpoint(tmp_path / "bands.pt")
    assert told.keys() == {"arch", "recipe", "contract", "model"}  # nothing that a run could go on from
    assert contract.trained_on == "toys; bands weighed on 6 real clips and 6 deepfakes"
    with torch.no_grad():
        weights = network.head.weight[0]
        assert weights[0] == -weights[1] > 0
        # The very regression: smooth faces speak for a fake.
        assert weights[2:].abs().max() > 0


def test_other_networks_stores_of_one_class_and_one_person_are_refused(tmp_path: Path) -> None:
    trained = checkpoint(tmp_path / "best.pt", RGB)
    again = checkpoint(tmp_path / "bands.pt", RGB, "resnet18-bands")
    store = smooth_faces(tmp_path / "store", RGB)
    with pytest.raises(UsageError, match=r"beside a resnet18, and .* is a resnet18-bands"):
        fit_bands(again, store, tmp_path / "out.pt")
    with pytest.raises(DataError, match="holds no fake clips"):
        fit_bands(trained, smooth_faces(tmp_path / "reals", RGB, real=True), tmp_path / "out.pt")
    with pytest.raises(DataError, match="of two people each"):
        fit_bands(trained, small_store(tmp_path / "one", RGB, clips=2, pairs=2), tmp_path / "out.pt")
    assert not (tmp_path / "out.pt").exists()


def test_the_command_says_how_well_the_bands_do_by_themselves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = smooth_faces(tmp_path / "store", RGB)
    run("bands", checkpoint(tmp_path / "best.pt", RGB), store, "--out", tmp_path / "bands.pt")
    said = capsys.readouterr().out
    assert "by itself, on people left out in turn: AUC 1.000, 6 of 6 fakes above their own originals" in said
