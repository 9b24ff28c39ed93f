"""A trained module -> one ONNX file that carries its contract: uint8 (N, S, S, C) ``image`` -> (N,) ``p_fake``."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from stream.contract import Contract
from train.calibrate import write_graph
from train.models import p_fake
from train.recurrent import RecurrentNetwork

OPSET = 18


class Calibrated(nn.Module):
    """A network with its calibration: uint8 (N, S, S, C) -> P(fake) (N,) float32."""

    def __init__(self, module: nn.Module, contract: Contract) -> None:
        super().__init__()
        self.module = module
        self.contract = contract

    def forward(self, image: Tensor) -> Tensor:
        return p_fake(self.module(image), self.contract)


class CalibratedStep(nn.Module):
    """A recurrent network with its calibration: uint8 (N, S, S, C), h and c (N, M) -> P(fake) (N,), h and c."""

    def __init__(self, module: RecurrentNetwork, contract: Contract) -> None:
        super().__init__()
        self.module = module
        self.contract = contract

    def forward(self, image: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, h, c = self.module.step(image, h, c)
        return p_fake(logits, self.contract), h, c


def export(module: nn.Module, contract: Contract, out: Path) -> Path:
    """Write ``module`` (uint8 (N, S, S, C) -> logits (N, 2)) as a single float32 ONNX file with dynamic batch.

    A recurrent network also takes ``h`` and ``c`` (N, M) and gives ``h_next`` and ``c_next``.

    Raises:
        OutputError: the file cannot be written.
    """
    example = torch.zeros(2, contract.size, contract.size, contract.channels, dtype=torch.uint8)
    examples, inputs, outputs = [example], ["image"], ["p_fake"]
    graph: nn.Module = Calibrated(module, contract).eval().cpu()
    if isinstance(module, RecurrentNetwork):
        graph = CalibratedStep(module, contract).eval().cpu()
        examples += [torch.zeros(2, contract.memory), torch.zeros(2, contract.memory)]
        inputs, outputs = ["image", "h", "c"], ["p_fake", "h_next", "c_next"]
    batch = torch.export.Dim("n", min=1)
    noisy = logging.getLogger("torch.onnx")
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # The exporter warns about its own insides; parity is measured afterwards and says what matters.
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                graph,
                tuple(examples),
                input_names=inputs,
                output_names=outputs,
                dynamic_shapes={name: {0: batch} for name in inputs},
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    finally:
        noisy.setLevel(level)
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    write_graph(program.model_proto, contract, out)
    return out
