"""Bands beside a ResNet18: what they read off, how they are weighed, and that nobody weighs them for himself."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from export.onnx_file import export
from export.precision import Precision, convert
from stream.contract import Contract
from stream.errors import ContractError, DataError, UsageError
from stream.fusion import fuse
from stream.model import Model
from stream.records import Box, Pair
from tests.test_train_judging import run
from tests.trainset import small_clips, small_store
from train.band_fit import _deal, _fit, _Read, _spoil, fit_bands
from train.bands import LEVELS, RINGS, Bands, BandsNetwork
from train.models import build, load, read_checkpoint
from train.recipe import normalisation
from train.store import StoredClip, open_store, pairs_file

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


@pytest.mark.parametrize("margin", [0.0, 0.1, 0.5])
def test_a_plain_picture_has_none_and_contrast_as_a_whole_is_no_cue(margin: float) -> None:
    bands = Bands(replace(RGB, margin=margin))
    assert bands(torch.full((1, 64, 64, 3), 77, dtype=torch.uint8)).abs().max() < 1e-5
    luma = slice(0, bands.count // 3)
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


@pytest.mark.parametrize(("precision", "error"), [("int8", 1e-4), ("fp16", 0.01)])
def test_fewer_bits_leave_the_bands_as_they_are(tmp_path: Path, precision: Precision, error: float) -> None:
    torch.manual_seed(0)
    network = build(STACK, "resnet18-bands").eval()
    assert isinstance(network, BandsNetwork)
    network.weigh(0.0, torch.randn(network.bands.count).tolist(), 0.0)
    images = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 6), np.uint8)
    fp32 = export(network, STACK, tmp_path / "fp32.onnx")
    made = convert(fp32, tmp_path / "out.onnx", precision, images)
    with torch.no_grad():
        logits = network(torch.from_numpy(images[:8]))
    wanted = torch.sigmoid(logits[:, 0] - logits[:, 1]).numpy()
    assert Model(made, "cpu")(list(images[:8])) == pytest.approx(wanted, abs=error)


def test_nobody_is_scored_by_weights_that_were_fitted_on_his_own_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, store = checkpoint(tmp_path / "best.pt", RGB), small_store(tmp_path / "store", RGB, clips=24, pairs=1)
    # Two clips of each person, both real or both fake, with random numbers that say who it is and nothing else.
    people = [replace(c, label="fake" if k // 2 % 2 else "real", pair="") for k, c in enumerate(small_clips(24))]
    (store / "clips.json").write_text(json.dumps([{**asdict(clip), "path": str(clip.path)} for clip in people]))

    def read(stored: StoredClip, network: BandsNetwork, *_: object) -> _Read:
        who = np.random.default_rng(int(stored.clip.identities[0][1:]))
        numbers = who.normal(size=(1, network.bands.count))
        return _Read(stored.clip, who.normal(size=1), numbers, numbers)

    monkeypatch.setattr("train.band_fit._read", read)
    honest = fit_bands(trained, store, tmp_path / "bands.pt")
    # As if every clip were a stranger's: who has seen the same person's other clip knows the label.
    monkeypatch.setattr("train.band_fit.groups", lambda clips: np.arange(len(clips)))
    leaking = fit_bands(trained, store, tmp_path / "leak.pt")
    assert leaking.auc == 1.0
    assert honest.auc < 0.75


def test_each_class_is_in_every_fold_and_nobody_in_two() -> None:
    # Three people with both, five with deepfakes alone, nine with reals alone: two clips each.
    people = np.repeat(np.arange(17), 2)
    fake = np.array([True, False] * 3 + [True] * 10 + [False] * 18)
    deals = [_deal(people, fake, np.random.default_rng(seed)) for seed in range(20)]
    for fold in deals:
        assert set(fold) == set(range(6))
        assert all(set(fake[fold == k]) == {True, False} for k in range(6))
        assert all(len(set(fold[people == who])) == 1 for who in range(17))
    assert len({tuple(fold) for fold in deals}) > 1


def test_what_does_not_survive_a_codec_weighs_less() -> None:
    rng = np.random.default_rng(0)
    reads = []
    for clip in small_clips(40):
        label = 1.0 if clip.fake else -1.0
        clean, worse = (label + rng.normal(0, 1, (8, 2)) for _ in range(2))
        worse[:, 0] -= label  # there, the first number no longer tells
        reads.append(_Read(clip, np.zeros(8), clean, worse))
    first, second = _fit(reads, 10.0).weights
    assert 0 < first < 0.8 * second
    first, second = _fit([replace(r, spoiled=r.bands) for r in reads], 10.0).weights
    assert first == pytest.approx(second, rel=0.15)


def test_a_degraded_pair_keeps_its_form_and_is_degraded_alike_each_time() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    pair = Pair(1, 0.0, 0.04, crop, np.roll(crop, 1, axis=1), Box(0, 0, 50, 50), 50.0)
    for seed in range(12):  # some of these draws are smaller pictures
        one, again = (_spoil(pair, np.random.default_rng(seed)) for _ in range(2))
        assert one.first.shape == one.second.shape == (64, 64, 3) and one.first.dtype == np.uint8
        assert np.array_equal(one.first, again.first) and np.array_equal(one.second, again.second)
    assert not np.array_equal(one.first, crop)


def test_the_network_stays_and_its_second_opinion_is_added_in_units_of_the_reals_spread(tmp_path: Path) -> None:
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
    body, bands = [], []  # what each adds to the logits' difference, clip by clip
    for clip in open_store(store).clips:
        images = torch.from_numpy(np.stack([fuse(clip.pair(i), contract) for i in range(clip.pairs)]))
        with torch.no_grad():
            own = network.body(network.normalise(images)) @ network.head.weight[0, :2]
            logits = network(images)
        body.append(float(own.mean()))
        bands.append(float((logits[:, 0] - logits[:, 1] - own).mean()))
    fake = np.array([c.clip.fake for c in open_store(store).clips])
    assert np.std(np.array(body)[~fake]) == pytest.approx(1.0, abs=1e-3)
    assert np.array(bands)[fake].min() > 0 > np.array(bands)[~fake].max()
    # Fitted on all, they are the average of what was fitted on others, or nearly: in the same units.
    beyond = best.logits / best.logits[~fake].std()
    assert np.array(bands) == pytest.approx(beyond, rel=0.5)


def test_other_networks_stores_of_one_class_and_one_person_are_refused(tmp_path: Path) -> None:
    trained = checkpoint(tmp_path / "best.pt", RGB)
    again = checkpoint(tmp_path / "bands.pt", RGB, "resnet18-bands")
    store = smooth_faces(tmp_path / "store", RGB)
    with pytest.raises(UsageError, match=r"beside a resnet18, and .* is a resnet18-bands"):
        fit_bands(again, store, tmp_path / "out.pt")
    with pytest.raises(DataError, match="holds no fake clips"):
        fit_bands(trained, smooth_faces(tmp_path / "reals", RGB, real=True), tmp_path / "out.pt")
    with pytest.raises(DataError, match="of two people each at least, whom no video joins"):
        fit_bands(trained, small_store(tmp_path / "one", RGB, clips=2, pairs=2), tmp_path / "out.pt")
    broken = read_checkpoint(trained)
    broken["model"]["body.fc.bias"][0] = float("nan")
    torch.save(broken, tmp_path / "broken.pt")
    with pytest.raises(DataError, match="tell no real clip of"):
        fit_bands(tmp_path / "broken.pt", store, tmp_path / "out.pt")
    assert not (tmp_path / "out.pt").exists()


def test_the_command_says_how_well_the_bands_do_by_themselves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = smooth_faces(tmp_path / "store", RGB)
    run("bands", checkpoint(tmp_path / "best.pt", RGB), store, "--out", tmp_path / "bands.pt")
    said = capsys.readouterr().out
    assert (
        "bands.pt: bands weighed with strength 0.3\nby themselves, on people left out in turn (best of 5): AUC " in said
    )
    assert said.endswith("AUC 1.000 (1.000 to 1.000); in 6 of 6 videos the fake above its original\n")


def test_bands_that_may_know_nothing_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = small_store(tmp_path / "store", RGB, pairs=2)
    rng = np.random.default_rng(0)
    for clip in small_clips():
        file = pairs_file(store, clip)
        rows = np.load(file)
        for row in rows:
            row["first"] = row["second"] = rng.integers(0, 256, (64, 64, 3), np.uint8)
        np.save(file, rows)
    run("bands", checkpoint(tmp_path / "best.pt", RGB), store, "--out", tmp_path / "bands.pt")
    assert "warning: the bands may know nothing" in capsys.readouterr().err
