"""Recipes: the published values, changes by key, and one clear error for anything that cannot be meant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stream.contract import Contract
from stream.errors import UsageError
from train.augment import Augment
from train.recipe import Recipe, from_values, names, read_recipe


def test_the_notebooks_recipe_is_as_published() -> None:
    recipe = read_recipe("notebook-resnet18")
    assert (recipe.arch, recipe.weights, recipe.frozen_children) == ("resnet18", "imagenet", 2)
    assert (recipe.optimizer, recipe.lr, recipe.momentum, recipe.weight_decay) == ("sgd", 0.001, 0.9, 0.0)
    assert (recipe.schedule, recipe.step_epochs, recipe.gamma) == ("step", 6, 0.1)
    assert (recipe.batch, recipe.valid_batch, recipe.epochs) == (128, 256, 50)
    assert recipe.augment == Augment(flip=0.5)
    contract = recipe.make_contract(Contract())
    assert (contract.input, contract.face_weight, contract.flow_weight, contract.size) == ("fused", 0.7, 0.3, 224)
    assert contract.mean == (0.485, 0.456, 0.406)
    assert contract.std == (0.229, 0.224, 0.225)


@pytest.mark.parametrize("name", names())
def test_every_recipe_that_comes_along_can_be_read_under_its_own_name(name: str) -> None:
    assert read_recipe(name).name == name


def test_a_step_schedule_falls_by_gamma_every_six_epochs() -> None:
    recipe = read_recipe("notebook-resnet18")
    rates = [recipe.rate(epoch * 10 + 9, 10) for epoch in (0, 5, 6, 11, 12)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5])


def test_other_schedules_rise_and_fall_as_they_should() -> None:
    one_cycle = Recipe(schedule="onecycle", lr=1.0, warmup=0.2, epochs=10)
    rates = [one_cycle.rate(step, 10) for step in range(100)]
    assert max(rates) == rates[19] == 1.0
    assert rates[:20] == sorted(rates[:20])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[-1] < 0.001
    cosine = Recipe(schedule="cosine", lr=1.0, epochs=10)
    assert (cosine.rate(0, 10), cosine.rate(50, 10)) == (1.0, pytest.approx(0.5))
    assert Recipe(lr=0.3).rate(77, 10) == 0.3


def test_values_are_changed_by_key() -> None:
    changes = ["lr=0.02", "weights=none", "augment.blur=1", "contract.input=stack", 'options.mix = {"a" = 1}']
    recipe = read_recipe("notebook-resnet18", changes)
    assert (recipe.lr, recipe.weights, recipe.augment) == (0.02, "none", Augment(flip=0.5, blur=1))
    assert recipe.options == {"mix": {"a": 1}}
    assert recipe.make_contract(Contract()).mean == (0.485, 0.456, 0.406, 0.5, 0.5, 0.5)


def test_plain_values_make_the_same_recipe_again() -> None:
    recipe = read_recipe("scratch-resnet18", ["contract.size=112"])
    assert from_values(recipe.values()) == recipe


def test_the_contract_keeps_what_the_recipe_does_not_name() -> None:
    base = Contract(size=112, margin=0.1)
    assert read_recipe("notebook-resnet18").make_contract(base) == base
    assert replace(Recipe(), contract={"mean": [0.5] * 3, "std": [0.5] * 3}).make_contract(base).mean == (0.5,) * 3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("speed=3", "unknown keys speed"),
        ("lr=fast", "lr cannot be 'fast'"),
        ("epochs=1.5", "epochs cannot be 1.5"),
        ("epochs=0", "must be > 0"),
        ("optimizer=lion", "optimizer must be one of sgd, adam, adamw"),
        ("valid_share=1.5", "out of range"),
        ("augment.wobble=1", "unknown keys wobble"),
        ("augment.blur=2", r"must lie in \[0, 1\]"),
        ("augment=1", "augment cannot be 1"),
        ("lr.a=1", "lr is not a table"),
        ("lr", "takes KEY=VALUE"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_error(change: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_recipe("notebook-resnet18", [change])


def test_a_contract_that_cannot_be_met_is_one_clear_error() -> None:
    for contract, says in (({"sise": 3}, "unknown fields sise"), ({"input": "smell"}, "unknown input form")):
        with pytest.raises(UsageError, match=says):
            replace(Recipe(), contract=contract).make_contract(Contract())


def test_no_such_recipe_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no recipe 'none': give a file or one of .*notebook-resnet18"):
        read_recipe("none")
    (tmp_path / "bad.toml").write_text("lr = ")
    with pytest.raises(UsageError, match="not a TOML file"):
        read_recipe(str(tmp_path / "bad.toml"))
    (tmp_path / "mine.toml").write_text('name = "mine"\nlr = 0.5\n')
    assert read_recipe(str(tmp_path / "mine.toml")) == Recipe(name="mine", lr=0.5)
