"""stream.contract: what travels with a model comes back as it was, and anything else is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stream.contract import Contract, Thresholds
from stream.errors import ContractError


def changed(**fields: Any) -> str:
    """The default contract's JSON with some fields replaced; None takes a field out."""
    value = {**json.loads(Contract().to_json()), **fields}
    return json.dumps({k: v for k, v in value.items() if v is not None})


def test_a_contract_comes_back_from_json_as_it_was() -> None:
    contract = Contract(
        input="stack",
        size=112,
        margin=0.35,
        thresholds=Thresholds(0.7, 0.6, 0.3, 0.4),
        scores={"dev_auc": 0.75},
        trained_on="three clips",
    )
    assert Contract.from_json(contract.to_json()) == contract


def test_each_input_form_has_its_number_of_channels() -> None:
    assert [Contract(input=form).channels for form in ("fused", "rgb", "flow", "stack")] == [3, 3, 3, 6]


@pytest.mark.parametrize("name", sorted(json.loads(Contract().to_json()).keys() - {"version"}))
def test_a_missing_field_is_refused_by_name(name: str) -> None:
    with pytest.raises(ContractError, match=f"lacks {name}"):
        Contract.from_json(changed(**{name: None}))


def test_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(ContractError, match="unknown fields zoom"):
        Contract.from_json(changed(zoom=1))


def test_missing_and_unknown_thresholds_are_refused_by_name() -> None:
    with pytest.raises(ContractError, match=r"thresholds lacks fake_leave, real_enter, real_leave"):
        Contract.from_json(changed(thresholds={"fake_enter": 0.6}))
    with pytest.raises(ContractError, match=r"thresholds has unknown fields fast"):
        Contract.from_json(changed(thresholds={**json.loads(Contract().to_json())["thresholds"], "fast": 1}))


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version_is_refused_and_told_what_to_do(version: object) -> None:
    with pytest.raises(ContractError, match="reads version 1: use a flowtell that matches"):
        Contract.from_json(changed(version=version))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", "224"),
        ("size", 224.5),
        ("margin", True),
        ("mean", 0.5),
        ("std", ["a", "b", "c"]),
        ("classes", "altered"),
        ("flow_options", [3]),
        ("thresholds", 0.5),
        ("trained_on", 7),
    ],
)
def test_a_field_of_the_wrong_type_is_refused(name: str, value: object) -> None:
    with pytest.raises(ContractError, match=name):
        Contract.from_json(changed(**{name: value}))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_refused(number: str) -> None:
    with pytest.raises(ContractError, match="temperature"):
        Contract.from_json(Contract().to_json().replace('"temperature": 1.0', f'"temperature": {number}'))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null"])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(ContractError, match="is not"):
        Contract.from_json(text)


@pytest.mark.parametrize(
    "fields",
    [
        {"input": "crops"},
        {"face_box": "haar"},
        {"classes": ("original", "altered")},
        {"gap_s": 0.2},
        {"gap_min_s": 0.0},
        {"size": 8},
        {"margin": -0.1},
        {"temperature": 0.0},
        {"window_s": 0.0},
        {"min_pairs": 0},
    ],
)
def test_a_value_out_of_range_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ContractError):
        Contract(**fields)


@pytest.mark.parametrize(
    "values", [(0.4, 0.5, 0.4, 0.5), (0.6, 0.5, 0.55, 0.5), (1.1, 0.5, 0.4, 0.5), (0.6, 0.4, 0.4, 0.5)]
)
def test_thresholds_must_rise(values: tuple[float, float, float, float]) -> None:
    with pytest.raises(ContractError, match="must rise"):
        Thresholds(*values)
