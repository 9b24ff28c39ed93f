"""A recipe: everything a training run is made of, as a small file of values."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from stream.contract import Contract, Thresholds
from stream.errors import ContractError, UsageError

from .augment import Augment
from .dataset import Balance

FOLDER = Path(__file__).parent / "recipes"
Optimizer = Literal["sgd", "adam", "adamw"]
Schedule = Literal["constant", "step", "cosine", "onecycle", "trapezoid"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed", "64-true"]
Best = Literal["auc", "accuracy", "loss"]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. Every name is a key of the recipe's file; ``--set KEY=VALUE`` changes one.

    ``data``: ``store`` (a pair store), ``synthetic`` (pseudo-fakes made on the fly), or ``module:function`` with
    ``function(source, contract, part, recipe) -> Samples`` for the parts ``train`` and ``valid``.
    ``frozen_children``: first children of a pretrained body that do not learn. ``batch``: samples of one optimiser
    step over all processes; ``accumulate``: forward passes it is cut into. ``epoch_samples``: samples between two
    validations, 0 for one pass. ``warmup``: share of a one-cycle or trapezoid run that the rate rises; ``cooldown``:
    of a trapezoid one that it falls. ``dense``: weight of ``train.dense``'s loss, for twins. ``ema``: decay of the
    averaged weights a step, 0 for none. ``clip_norm``: largest gradient norm, 0 for any. ``checkpoint_steps``:
    steps between two checkpoints. ``best``: what the best epoch is chosen by. ``options``: for ``data`` functions.
    """

    name: str = "custom"
    arch: str = "resnet18"
    weights: str = "none"
    frozen_children: int = 0
    data: str = "store"
    balance: Balance = "none"
    valid_share: float = 0.2
    test_share: float = 0.0
    seed: int = 0
    optimizer: Optimizer = "sgd"
    lr: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Schedule = "constant"
    step_epochs: int = 6
    gamma: float = 0.1
    warmup: float = 0.1
    cooldown: float = 0.2
    label_smoothing: float = 0.0
    dense: float = 0.0
    ema: float = 0.0
    clip_norm: float = 0.0
    batch: int = 128
    valid_batch: int = 256
    accumulate: int = 1
    epochs: int = 50
    epoch_samples: int = 0
    checkpoint_steps: int = 200
    precision: Precision = "32-true"
    best: Best = "auc"
    augment: Augment = field(default_factory=Augment)
    contract: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        choices = {"optimizer": Optimizer, "schedule": Schedule, "precision": Precision, "best": Best}
        for name, known in {**choices, "balance": Balance}.items():
            if getattr(self, name) not in get_args(known):
                raise UsageError(f"the recipe's {name} must be one of {', '.join(get_args(known))}")
        if min(self.batch, self.valid_batch, self.accumulate, self.epochs, self.checkpoint_steps) < 1 or self.lr <= 0:
            raise UsageError("the recipe's batch, valid_batch, accumulate, epochs, checkpoint_steps and lr must be > 0")
        if not (0 < self.valid_share < 1 and 0 <= self.test_share < 1 - self.valid_share and 0 <= self.ema < 1):
            raise UsageError("the recipe's valid_share, test_share or ema is out of range")
        if not (0 <= self.warmup <= 1 and 0 < self.cooldown <= 1) or self.dense < 0:
            raise UsageError("the recipe's warmup, cooldown or dense is out of range")
        if self.dense and (self.data != "synthetic" or self.arch != "resnet18" or self.batch % 2):
            raise UsageError('a recipe with dense needs twins (data = "synthetic"), resnet18 and an even batch')

    def values(self) -> dict[str, Any]:
        """Plain values, as configuration and checkpoint hold them."""
        return {**asdict(self), "contract": dict(self.contract), "options": dict(self.options)}

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of one step: a function of the step alone, so that a resumed run needs no scheduler."""
        total, epoch = self.epochs * steps_per_epoch, step // steps_per_epoch
        match self.schedule:
            case "step":
                return float(self.lr * self.gamma ** (epoch // self.step_epochs))
            case "cosine":
                return self.lr * _cosine(step / total)
            case "onecycle":
                rise = max(1, round(self.warmup * total))
                if step < rise:
                    return self.lr * (0.04 + 0.96 * (step + 1) / rise)
                return self.lr * _cosine((step - rise) / max(1, total - rise))
            case "trapezoid":
                return self.lr * min(
                    1.0, (step + 1) / max(1, self.warmup * total), (total - step) / (self.cooldown * total)
                )
        return self.lr

    def make_contract(self, base: Contract) -> Contract:
        """``base`` (the store's, or the default) with what the recipe says of it, and mean and std that fit.

        Raises:
            UsageError: the recipe names a field that no contract has, or an impossible value.
        """
        known = {f.name for f in fields(Contract)}
        if unknown := sorted(self.contract.keys() - known):
            raise UsageError(f"the recipe's contract has unknown fields {', '.join(unknown)}")
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in self.contract.items()}
        values: dict[str, Any] = {name: getattr(base, name) for name in known} | given
        try:
            if isinstance(values["thresholds"], Mapping):
                given["thresholds"] = values["thresholds"] = Thresholds(**values["thresholds"])
            values["mean"], values["std"] = normalisation(Contract(**values).channels)
            return Contract(**(values | given))
        except (ContractError, TypeError) as error:
            raise UsageError(f"the recipe's contract cannot be met: {error}") from error


def normalisation(channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """ImageNet's mean and std for the first three channels; 0.5 and 0.25 for those that lie around byte 128."""
    more = channels - 3
    return (0.485, 0.456, 0.406, *([0.5] * more)), (0.229, 0.224, 0.225, *([0.25] * more))


def names() -> list[str]:
    """The recipes that come with flowtell."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def read_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """A recipe by its name or file, changed by ``KEY=VALUE`` texts (``augment.flip=0.2`` for a key of a table).

    Raises:
        UsageError: no such recipe, not TOML, unknown keys or impossible values.
    """
    file = FOLDER / f"{name}.toml" if name in names() else Path(name)
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"no recipe {name!r}: give a file or one of {', '.join(names())}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"the recipe {file} is not a TOML file that can be read: {error}") from error
    for change in changes:
        _apply(values, change)
    return from_values(values)


def from_values(values: Mapping[str, Any]) -> Recipe:
    """A recipe from plain values. Raises UsageError for unknown keys, wrong types and impossible values."""
    _check(Recipe, values, "recipe")
    chances = values.get("augment", {})
    _check(Augment, chances, "recipe's augment")
    return Recipe(**{**values, "augment": Augment(**chances)})


_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "Augment": (dict,), "Mapping": (dict,)}


def _check(kind: type, values: Mapping[str, Any], what: str) -> None:
    known = {f.name: str(f.type) for f in fields(kind)}
    if unknown := sorted(values.keys() - known.keys()):
        raise UsageError(f"the {what} has unknown keys {', '.join(unknown)}; it may have {', '.join(known)}")
    for name, value in values.items():
        # Everything else is a text or one of several texts, which Recipe itself checks.
        wanted = next((w for start, w in _TYPES.items() if known[name].startswith(start)), (str,))
        if isinstance(value, bool) or not isinstance(value, wanted):
            raise UsageError(f"the {what}'s {name} cannot be {value!r}")


def _apply(values: dict[str, Any], change: str) -> None:
    key, sign, text = change.partition("=")
    if not sign:
        raise UsageError(f"--set takes KEY=VALUE, not {change!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is a text: --set weights=none
    *tables, last = key.strip().split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise UsageError(f"--set {change}: {table} is not a table of the recipe")
    values[last] = value


def _cosine(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
