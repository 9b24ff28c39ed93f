"""VGG16 on drawn flow: the published counts, and a head whose softmax is the notebook's sigmoid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import tiny_model
from trainset import portrait_video

from stream.commands.check import check
from stream.contract import FARNEBACK, Contract
from stream.errors import UsageError
from train.models import build, freeze
from train.pwcnet import parameters
from train.recipe import read_recipe
from train.vgg16 import FROZEN_LAYERS, Vgg16Flat


def test_the_recipe_has_the_published_numbers_of_parameters() -> None:
    recipe = read_recipe("pwcnet-vgg16")
    with torch.device("meta"):  # counted, not filled: 200 MB
        network = build(recipe.make_contract(Contract()), recipe.arch)
    freeze(network, recipe.frozen_children)
    assert parameters(network) == 50_378_561
    assert parameters(network, trained_only=True) == 42_743_297


def test_what_learns_is_the_fifth_block_and_the_head() -> None:
    with torch.device("meta"):
        network = build(Contract(input="flow", size=32), "vgg16")
    freeze(network, FROZEN_LAYERS)
    learning = {
        name.removeprefix("body.").rsplit(".", 1)[0] for name, p in network.named_parameters() if p.requires_grad
    }
    assert learning == {"features.24", "features.26", "features.28", "head.0", "head.2", "head.4"}


def test_the_recipe_is_three_epochs_of_960_steps() -> None:
    recipe = read_recipe("pwcnet-vgg16")
    assert (recipe.epoch_samples // recipe.batch, recipe.epochs, recipe.batch) == (960, 3, 256)
    assert (recipe.optimizer, recipe.lr, recipe.schedule, recipe.best) == ("adam", 0.0001, "constant", "loss")


def test_the_recipes_contract_leaves_no_undecided_band() -> None:
    contract = read_recipe("pwcnet-vgg16").make_contract(Contract())
    assert (contract.input, contract.size, contract.flow_method) == ("flow", 120, "pwcnet")
    assert contract.thresholds.real_enter == contract.thresholds.fake_enter == 0.5


def test_softmax_and_cross_entropy_are_the_notebooks_sigmoid_and_binary_cross_entropy() -> None:
    z = torch.tensor([[-1.5], [0.3], [2.0]])
    logits = torch.cat((z, torch.zeros_like(z)), 1)
    fake = torch.tensor([1.0, 0.0, 1.0])
    assert torch.allclose(logits.softmax(1)[:, 0], torch.sigmoid(z[:, 0]))
    ours = torch.nn.functional.cross_entropy(logits, 1 - fake.long())
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(z[:, 0], fake)
    assert torch.allclose(ours, theirs)


def test_pictures_too_small_to_halve_five_times_are_refused() -> None:
    with pytest.raises(UsageError, match="31 px is less than 32"):
        Vgg16Flat(3, 31)


@pytest.mark.parametrize(("bright", "word"), [(False, "Original"), (True, "Fake")])
def test_check_prints_the_clips_mean_and_original_or_fake(
    bright: bool, word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contract = read_recipe("pwcnet-vgg16").make_contract(Contract())
    # The words come from the thresholds; Farneback stands in for the learned flow, a mean of bytes for the network.
    contract = replace(contract, flow_method="farneback", flow_options=dict(FARNEBACK))
    if bright:
        contract = replace(contract, input="rgb")  # a portrait is brighter than its drawn flow
        contract = replace(contract, thresholds=replace(contract.thresholds, **dict.fromkeys(_THRESHOLDS, 0.1)))
    model = tiny_model(tmp_path / "m.onnx", contract)
    assert check(portrait_video(tmp_path / "v.mp4"), model=model) == 0
    out = capsys.readouterr().out
    assert word in out and "0." in out and "REAL" not in out and "FAKE" not in out


_THRESHOLDS = ("fake_enter", "fake_leave", "real_enter", "real_leave")
