"""What ``train fit`` leaves behind, as something that scores like ``stream.model.Model``, and as others made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream.contract import Contract
from stream.errors import ContractError, DeviceError
from stream.flows import flow_function
from stream.model import Device
from stream.records import Image, States

from . import runs
from .models import load, p_fake, read_checkpoint
from .recurrent import RecurrentNetwork
from .store import copy_flow, write_atomically


def save_made_of(
    source: Path, out: Path, model: Mapping[str, Tensor], trained_on: str, arch: str | None = None
) -> None:
    """Write a checkpoint made of ``source``: its recipe and contract, other weights, no scores, nothing to go on from.

    arch: where it is another; ``trained_on``: what the contract says from now on. A learned flow is taken along.

    Raises:
        OutputError: ``out`` cannot be written, or another learned flow lies beside it.
    """
    value = {k: v for k, v in read_checkpoint(source).items() if k in ("arch", "recipe", "contract")}
    contract = Contract.from_json(value["contract"])
    now = replace(contract, trained_on=trained_on, scores={}, commit=runs.commit()["commit"])
    value |= {"arch": arch or value["arch"], "contract": now.to_json(), "model": dict(model)}
    copy_flow(contract, source.parent, out.parent)
    write_atomically(out, lambda file: torch.save(value, file))


class CheckpointScorer:
    """P(fake) from a checkpoint; ``contract`` is its own, and so is ``flow`` (a learned one lies beside the file).

    Raises:
        ModelError: no such checkpoint. DeviceError: ``cuda`` was asked for and torch has none.
    """

    def __init__(self, file: Path, device: Device = "auto") -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise DeviceError("--device cuda cannot be had: torch finds no GPU here; use --device auto or cpu")
        self.file = file
        self.device = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
        network, self.contract = load(file)
        self.flow = flow_function(self.contract, file.parent)
        self._network = network.to(self.device)

    def __call__(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """P(fake) of each (S, S, C) uint8 image, (N,) float32 in [0, 1]; no image, no run."""
        if not images:
            return np.zeros(0, np.float32)
        with torch.inference_mode():
            logits = self._network(torch.from_numpy(np.stack(images)).to(self.device))
            return np.asarray(p_fake(logits, self.contract).cpu().numpy(), np.float32)

    def step(self, images: Sequence[Image], states: States) -> tuple[NDArray[np.float32], States]:
        """P(fake) (N,) of one image of each of N faces, and their states (N, 2, M) after it."""
        if not isinstance(self._network, RecurrentNetwork):
            raise ContractError(f"{self.file} is no recurrent network: it takes no states")
        with torch.inference_mode():
            state = torch.from_numpy(states).to(self.device)
            image = torch.from_numpy(np.stack(images)).to(self.device)
            logits, h, c = self._network.step(image, state[:, 0], state[:, 1])
            after = torch.stack((h, c), 1).cpu().numpy()
            return np.asarray(p_fake(logits, self.contract).cpu().numpy(), np.float32), after
