"""The preprocessing contract: all that the live side must know to feed a network the way it was trained.

It travels as one JSON value under the key ``flowtell`` in the ONNX file's metadata, and in every
checkpoint and pair store. A missing or unknown field raises; nothing is filled in silently.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from .errors import ContractError

KEY = "flowtell"
VERSION = 1
Input = Literal["fused", "rgb", "flow", "stack"]
FlowMethod = Literal["farneback", "dis", "pwcnet"]
CHANNELS: dict[str, int] = {"fused": 3, "rgb": 3, "flow": 3, "stack": 6}

FARNEBACK: dict[str, float] = {
    "pyr_scale": 0.5,
    "levels": 3,
    "winsize": 15,
    "iterations": 3,
    "poly_n": 5,
    "poly_sigma": 1.2,
    "flags": 0,
}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where a window's mean P(fake) turns the indicator, with hysteresis (enter further out than leave).

    FAKE from ``fake_enter`` up until it falls below ``fake_leave``; REAL from ``real_enter`` down until it
    rises above ``real_leave``; UNSURE in between.
    """

    fake_enter: float = 0.6
    fake_leave: float = 0.5
    real_enter: float = 0.4
    real_leave: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.real_enter <= self.real_leave <= self.fake_leave <= self.fake_enter <= 1:
            raise ContractError(f"the thresholds must rise from real_enter to fake_enter within [0, 1]: {self}")


@dataclass(frozen=True, slots=True)
class Contract:
    """How pictures become the network's input, and its output a verdict. Lengths in pixels, times in seconds.

    ``size``: side of the crops; ``margin``: what the crop shows around the canonical face box, on each
    side, as a share of that box; ``gap_s``: nominal gap of a pair, within ``gap_min_s``..``gap_max_s``;
    ``temperature`` and ``bias``: calibration, P(fake) = sigmoid(logit / temperature + bias), already in the
    graph; ``window_s``: what a live verdict averages over; ``min_pairs``: evidence it needs at least;
    ``memory``: numbers in each of the two states that a recurrent network keeps of a face, 0 for any other.
    """

    input: Input = "fused"
    size: int = 224
    face_box: str = "yunet-square"
    margin: float = 0.2
    gap_s: float = 0.04
    gap_min_s: float = 0.015
    gap_max_s: float = 0.15
    flow_method: FlowMethod = "farneback"
    flow_options: dict[str, Any] = field(default_factory=lambda: dict(FARNEBACK))
    face_weight: float = 0.7
    flow_weight: float = 0.3
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    classes: tuple[str, ...] = ("altered", "original")
    temperature: float = 1.0
    bias: float = 0.0
    thresholds: Thresholds = field(default_factory=Thresholds)
    window_s: float = 3.0
    min_pairs: int = 8
    memory: int = 0
    trained_on: str = ""
    scores: dict[str, Any] = field(default_factory=dict)
    commit: str = ""
    version: int = VERSION

    def __post_init__(self) -> None:
        if self.input not in get_args(Input):
            raise ContractError(f"unknown input form {self.input!r}: this flowtell knows {', '.join(get_args(Input))}")
        if self.flow_method not in get_args(FlowMethod):
            raise ContractError(
                f"unknown flow method {self.flow_method!r}: this flowtell knows {', '.join(get_args(FlowMethod))}"
            )
        if self.face_box != "yunet-square":
            raise ContractError(f"unknown canonical face box {self.face_box!r}: this flowtell knows yunet-square")
        if tuple(self.classes) != ("altered", "original"):
            raise ContractError(f"the classes must be altered, original, in this order, not {self.classes}")
        if not 0 < self.gap_min_s <= self.gap_s <= self.gap_max_s:
            raise ContractError("the pair gap must lie within its own tolerance")
        if self.size < 16 or self.margin < 0 or self.temperature <= 0 or self.window_s <= 0 or self.min_pairs < 1:
            raise ContractError("size, margin, temperature, window_s or min_pairs is out of range")
        if self.memory < 0:
            raise ContractError("memory must not be negative")

    @property
    def channels(self) -> int:
        """Channels of the network's input."""
        return CHANNELS[self.input]

    @property
    def two_way(self) -> bool:
        """Whether every mean P(fake) is either real or fake: the thresholds leave nothing undecided in between."""
        return self.thresholds.real_enter == self.thresholds.fake_enter

    def to_json(self) -> str:
        """The one JSON value that travels with a model."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Contract:
        """Read a contract back. Raises ContractError for anything missing, unknown or out of range."""
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise ContractError(f"the model's contract is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise ContractError("the model's contract is not a JSON object")
        version = value.get("version")
        if version != VERSION:
            raise ContractError(
                f"the model's contract has version {version}, this flowtell reads version {VERSION}: "
                "use a flowtell that matches the model, or export the model anew"
            )
        _check_fields(cls, value, "contract")
        thresholds = value["thresholds"]
        if not isinstance(thresholds, dict):
            raise ContractError("the contract's thresholds are not a JSON object")
        _check_fields(Thresholds, thresholds, "contract's thresholds")
        kept = {k: tuple(value[k]) for k in ("mean", "std", "classes")}
        return cls(**{**value, **kept, "thresholds": Thresholds(**thresholds)})


_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "float": (int, float),
    "int": (int,),
    "dict[str, Any]": (dict,),
    "Thresholds": (dict,),
}
"""What JSON may give for a field, by the field's annotation; every other one is a string."""


def _check_fields(kind: type, value: dict[str, Any], what: str) -> None:
    """Every field there, none too many, each of its type, and no number that is not finite."""
    types = {f.name: str(f.type) for f in fields(kind)}
    if missing := sorted(types.keys() - value.keys()):
        raise ContractError(f"the {what} lacks {', '.join(missing)}: export the model anew")
    if unknown := sorted(value.keys() - types.keys()):
        raise ContractError(f"the {what} has unknown fields {', '.join(unknown)}: a newer flowtell made this model")
    for name, type_ in types.items():
        given = value[name]
        if type_.startswith("tuple"):
            item = _JSON_TYPES.get(type_.removeprefix("tuple[").removesuffix(", ...]"), (str,))
            good = isinstance(given, list) and all(_is(v, item) for v in given)
        else:
            good = _is(given, _JSON_TYPES.get(type_, (str,)))
        if not good:
            raise ContractError(f"the {what} has {name} = {given!r}, which is no {type_}: export the model anew")


def _is(value: Any, types: tuple[type, ...]) -> bool:
    """Whether a JSON value is of one of the types; true is no number, and neither are NaN and Infinity."""
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        return False
    return isinstance(value, types)
