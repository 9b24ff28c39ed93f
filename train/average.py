"""One network whose weights are the mean of several's that began as one.

Fine-tuned weights averaged with those that they began from can tell strangers better than either (Wortsman et al.,
Robust Fine-Tuning of Zero-Shot Models, 2022), at the cost of one network. Statistics of norm layers are averaged too,
not estimated anew. Networks trained apart must not be averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from stream.errors import ModelError, UsageError

from .checkpoint import save_made_of
from .models import load


def average(checkpoints: Sequence[Path], out: Path) -> None:
    """Write the mean of checkpoints as one; contract and configuration are the last one's, without its scores.

    Raises:
        UsageError: fewer than two. ModelError: one is no checkpoint, or they are not of one network.
        OutputError: ``out`` cannot be written, or another learned flow lies beside it.
    """
    if len(checkpoints) < 2:
        raise UsageError(
            "an average needs two checkpoints at least: give what a network began from, and what it became"
        )
    networks, contracts = zip(*map(load, checkpoints), strict=True)
    states = [network.state_dict() for network in networks]
    forms = [
        (replace(contract, trained_on="", scores={}, commit=""), {name: value.shape for name, value in state.items()})
        for contract, state in zip(contracts, states, strict=True)
    ]
    for file, form in zip(checkpoints, forms, strict=True):
        if form != forms[0]:
            raise ModelError(f"{file} and {checkpoints[0]} are not of one network: their inputs or layers differ")
    mean = {
        # In doubles, so that the order does not matter; counters, which are whole numbers, stay the last one's.
        name: torch.stack([state[name].double() for state in states]).mean(0).to(last.dtype)
        if last.is_floating_point()
        else last
        for name, last in states[-1].items()
    }
    told = f"mean of {len(checkpoints)} networks, the last: {contracts[-1].trained_on}"
    save_made_of(checkpoints[-1], out, mean, told)
