"""The dense loss: where twins differ is where the cells must say altered; the body learns, the heads are dropped."""

from __future__ import annotations

import pytest
import torch

from stream.contract import Contract
from stream.errors import UsageError
from train.dense import Localiser, dense_loss
from train.models import build
from train.recipe import Recipe

CONTRACT = Contract(input="rgb", size=64)


def twins(difference: int) -> torch.Tensor:
    """Two pictures: the altered one is brighter in its upper left quarter."""
    images = torch.full((2, 64, 64, 3), 100, dtype=torch.uint8)
    images[0, :32, :32] += difference
    return images


def where(difference: int) -> torch.Tensor:
    return (twins(difference)[0] - twins(difference)[1])[..., 0].repeat(2, 1, 1)


def test_the_localiser_gives_the_networks_own_logits_and_a_map_of_each_resolution() -> None:
    network = build(CONTRACT).eval()
    logits, maps = Localiser(network).eval()(twins(20))
    assert torch.equal(logits, network(twins(20)))
    assert [m.shape for m in maps] == [(2, 1, 8, 8), (2, 1, 4, 4)]


def test_cells_that_say_where_cost_nothing_and_cells_that_do_not_cost_much() -> None:
    right = torch.full((2, 1, 4, 4), -30.0)
    right[0, :, :2, :2] = 30.0
    assert dense_loss([right], where(20)).item() == pytest.approx(0.0, abs=1e-6)
    assert dense_loss([-right], where(20)).item() > 10


def test_pictures_too_different_to_be_twins_teach_no_place() -> None:
    unrelated = where(150)  # a quarter of the picture by 150 levels: 37.5 on average
    first = torch.full((2, 1, 4, 4), -30.0)
    assert dense_loss([first], unrelated).item() == pytest.approx(0.0, abs=1e-6)


def test_the_body_learns_from_the_dense_loss_alone() -> None:
    network = build(CONTRACT).train()
    _, maps = Localiser(network)(twins(20).repeat(2, 1, 1, 1))
    dense_loss(maps, where(20).repeat(2, 1, 1)).backward()
    assert network.body.conv1.weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    "wrong",
    [{"data": "store"}, {"data": "a:b"}, {"data": "synthetic", "arch": "vgg16"}, {"data": "synthetic", "batch": 31}],
)
def test_a_dense_recipe_without_twins_is_one_clear_error(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="needs twins"):
        Recipe(dense=1.0, **wrong)  # type: ignore[arg-type]


def test_a_trapezoid_rises_stays_and_falls() -> None:
    recipe = Recipe(schedule="trapezoid", lr=1.0, warmup=0.1, cooldown=0.2, epochs=10)
    rates = [recipe.rate(step, 10) for step in (0, 9, 50, 80, 90, 99)]
    assert rates == pytest.approx([0.1, 1.0, 1.0, 1.0, 0.5, 0.05])
