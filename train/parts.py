"""Which samples a run learns from, which choose its best epoch, and which judge it: people are never shared."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, cast

from stream.contract import Contract
from stream.errors import DataError, UsageError
from stream.flows import flow_function, pin_flow

from . import runs
from .dataset import Samples, StoreSamples
from .manifest import check_both, read_manifest
from .recipe import Recipe
from .shards import open_shards
from .split import refuse_shared, split
from .store import Store, StoredClip, is_store, open_store, refuse_other

LEAKS = "leaks.txt"


@dataclass(frozen=True)
class Parts:
    """``described``: what the run's configuration says of them; ``told``: one line on the training part.

    ``held_out``: clips for the last judgement, of the part ``judged_by``.
    """

    train: Samples
    valid: Samples
    contract: Contract
    described: dict[str, Any]
    told: str
    held_out: tuple[StoredClip, ...] = ()
    judged_by: str = "valid"


def open_parts(source: Path, recipe: Recipe, folder: Path | None = None) -> Parts:
    """The parts of a pair store, or of what the recipe's data function makes; all errors come before long work.

    folder: train.csv, valid.csv and perhaps test.csv of ``train split``; by identity and the recipe's shares otherwise.
    A file ``leaks.txt`` in it (``train manifest --split notebook-480``) says that its parts share people on purpose.

    Raises:
        DataError: no such store, a store of another contract, a part that is empty, lacks a class or shares people.
        UsageError: the recipe names a data function that is not there.
    """
    if recipe.data != "store":
        if folder is not None:
            raise UsageError(f"--split parts a store: the recipe's data {recipe.data!r} parts its people itself")
        return _made_parts(source, recipe)
    store = open_store(source)
    contract = pin_flow(recipe.make_contract(store.contract), source)
    refuse_other(store.contract, contract, str(source))
    flow_function(contract, source)  # a learned flow lies beside store.json; that it is missing is told now
    chosen, said = stored_parts(store, recipe, folder)
    described: dict[str, dict[str, Any]] = {
        name: {
            "clips": len(part),
            "fake": sum(s.clip.fake for s in part),
            "pairs": sum(s.pairs for s in part),
            "people": len({i for s in part for i in s.clip.identities}),
            "fingerprint": runs.fingerprint([f"{s.clip.name} {s.pairs}" for s in part]),
        }
        for name, part in chosen.items()
    }
    if said:
        described["train"]["leaks"] = said
    return Parts(
        StoreSamples(chosen["train"], contract, recipe.augment, recipe.balance, recipe.seed, source),
        StoreSamples(chosen["valid"], contract, flow_folder=source),
        contract,
        described,
        told(described["train"]),
        tuple(chosen.get("test", chosen["valid"])),
        "test" if "test" in chosen else "valid",
    )


def stored_parts(store: Store, recipe: Recipe, folder: Path | None = None) -> tuple[dict[str, list[StoredClip]], str]:
    """The clips of a store by part, as ``open_parts`` finds them, and what ``leaks.txt`` says where it lies there.

    Raises:
        DataError: a part is empty, lacks a class, or shares people with another without saying so.
    """
    chosen = _from_folder(store, folder) if folder else _by_identity(store, recipe)
    for name, part in chosen.items():
        check_both([s.clip for s in part], f"the {name} part of {store.folder}")
    leaks = folder / LEAKS if folder else None
    said = leaks.read_text(encoding="utf-8").strip() if leaks and leaks.is_file() else ""
    if not said:
        for one, other in combinations(chosen, 2):
            clips = [s.clip for s in chosen[one]], [s.clip for s in chosen[other]]
            refuse_shared(*clips, f"the parts {one} and {other}")
    return chosen, said


def _by_identity(store: Store, recipe: Recipe) -> dict[str, list[StoredClip]]:
    shares = {"train": 1 - recipe.valid_share - recipe.test_share, "valid": recipe.valid_share}
    if recipe.test_share:
        shares["test"] = recipe.test_share
    stored = {s.clip.name: s for s in store.clips}
    parts = split([s.clip for s in store.clips], shares, recipe.seed).parts
    return {name: [stored[clip.name] for clip in part] for name, part in parts.items()}


def _from_folder(store: Store, folder: Path) -> dict[str, list[StoredClip]]:
    # By where the videos lie: a manifest in another folder names them differently.
    stored = {s.clip.path: s for s in store.clips}
    parts = {}
    for name in ("train", "valid", "test"):
        file = folder / f"{name}.csv"
        if file.is_file():
            clips = read_manifest(file, need_files=False)  # the store may have come here without the videos
            parts[name] = [stored[path] for c in clips if (path := c.path.resolve()) in stored]
        elif name != "test":
            raise DataError(f"{folder} holds no {name}.csv: make the parts with 'flowtell train split'")
    return parts


def _made_parts(source: Path, recipe: Recipe) -> Parts:
    where = "train.synthesize:samples" if recipe.data == "synthetic" else recipe.data
    module, sign, name = where.partition(":")
    try:
        make = getattr(importlib.import_module(module), name) if sign else None
    except (ImportError, AttributeError) as error:
        raise UsageError(f"the recipe's data {recipe.data!r} cannot be imported: {error}") from error
    if make is None:
        raise UsageError(f"the recipe's data must be store, synthetic or module:function, not {recipe.data!r}")
    base = Contract()
    if is_store(source):
        base = open_store(source).contract
    elif (source / "shards.json").is_file():
        base = open_shards(source, "train")[1]
    contract = pin_flow(recipe.make_contract(base), source)
    train, valid = (cast(Samples, make(source, contract, part, recipe)) for part in ("train", "valid"))
    for name, samples in (("train", train), ("valid", valid)):
        if not len(samples):
            raise DataError(f"the {name} part of {source} is empty: give more sources")
    # Samples that are made may say what of; a run is not gone on with on others that are described otherwise.
    made_of = getattr(train, "made_of", f"{len(train)} samples an epoch")
    described = {"train": {"samples": len(train), "made_of": made_of}, "valid": {"samples": len(valid)}}
    return Parts(train, valid, contract, described, made_of)


def told(train: dict[str, Any]) -> str:
    """One line on the training part of a store, for the contract's ``trained_on``."""
    real = train["clips"] - train["fake"]
    leaks = "; its parts share people, so its scores are too good" if "leaks" in train else ""
    return f"{real} real and {train['fake']} fake clips of {train['people']} people, {train['pairs']} pairs{leaks}"
