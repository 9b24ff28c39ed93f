"""The networks: a contract -> a module that takes the pictures of ``stream.fusion.fuse`` as they are.

Every one takes uint8 (N, S, S, C) and gives logits (N, 2) in the order altered, original; normalisation is
inside, so that the exported graph eats what the live side makes.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, VGG16_Weights, resnet18  # type: ignore[import-untyped]

from stream.contract import Contract
from stream.errors import ContractError, DataError, ModelError, UsageError

from .vgg16 import Vgg16Flat


class Network(nn.Module):
    """Normalisation by the contract, then ``body``: uint8 (N, S, S, C) -> logits (N, 2)."""

    def __init__(self, contract: Contract, body: nn.Module) -> None:
        super().__init__()
        if not len(contract.mean) == len(contract.std) == contract.channels:
            raise ContractError(
                f"the contract's mean and std need one value for each of the {contract.channels} channels of "
                f"'{contract.input}', not {len(contract.mean)} and {len(contract.std)}"
            )
        self.body = body
        # (x / 255 - mean) / std as one product and one difference. Not in the state: the contract beside every
        # checkpoint is the one home of mean and std.
        mean, std = (torch.tensor(v, dtype=torch.float64).reshape(-1, 1, 1) for v in (contract.mean, contract.std))
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", (1 / (255 * std)).float(), persistent=False)
        self.register_buffer("shift", (mean / std).float(), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.body(self.normalise(image))
        return logits

    def normalise(self, image: Tensor) -> Tensor:
        """uint8 (N, S, S, C) -> what the body takes, (N, C, S, S); the same of sequences, (N, T, ...)."""
        # The permuted view is already in channels_last order, which the convolutions like best.
        return image.movedim(-1, -3).to(self.scale.dtype) * self.scale - self.shift


def build(contract: Contract, arch: str = "resnet18") -> Network:
    """The network ``arch`` for a contract's input, from scratch.

    Raises:
        UsageError: no such architecture. ContractError: mean and std do not fit the channels.
    """
    match arch:
        case "resnet18":
            return Network(contract, _resnet18(contract.channels))
        case "resnet18-bands":
            from .bands import BandsNetwork  # noqa: PLC0415  (it is a Network itself)

            return BandsNetwork(contract, _resnet18(contract.channels))
        case "vgg16":
            return Network(contract, Vgg16Flat(contract.channels, contract.size))
        case "cnn-lstm":
            from .recurrent import RecurrentNetwork  # noqa: PLC0415  (it is a Network itself)

            return RecurrentNetwork(contract)
    raise UsageError(f"no architecture {arch!r}: this flowtell builds resnet18, resnet18-bands, vgg16 and cnn-lstm")


def freeze(network: Network, count: int) -> None:
    """Let the first ``count`` children of the body (of VGG16: of its layers) learn nothing."""
    children = network.body.layers() if isinstance(network.body, Vgg16Flat) else list(network.body.children())
    for child in children[:count]:
        child.requires_grad_(False)


def _resnet18(channels: int) -> nn.Module:
    """He et al., Deep Residual Learning for Image Recognition (2016), as torchvision builds it."""
    body: nn.Module = resnet18(num_classes=2)
    if channels != 3:
        body.conv1 = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(body.conv1.weight, mode="fan_out", nonlinearity="relu")
    return body


def start_from(network: Network, weights: str) -> int:
    """Load weights (``imagenet``, ``none`` or a file) into a fresh network; returns how many tensors were taken.

    A file is a torch state of the same architecture (torchvision's own, or a flowtell checkpoint). The head is
    taken only where it fits; an input layer with fewer channels fills the first ones, the others start at zero.

    Raises:
        DataError: ImageNet weights cannot be downloaded here. ModelError: the file does not fit.
    """
    if weights == "none":
        return 0
    state = _imagenet(isinstance(network.body, Vgg16Flat)) if weights == "imagenet" else read_state(Path(weights))
    prefix = "body." if not any(k.startswith("body.") for k in state) else ""
    taken, own = 0, network.state_dict()
    for name, value in state.items():
        mine = own.get(prefix + name)
        if mine is None:
            continue
        if value.shape == mine.shape:
            mine.copy_(value)
        elif value.ndim == mine.ndim == 4 and value.shape[1] < mine.shape[1] and value.shape[2:] == mine.shape[2:]:
            mine.zero_()
            mine[:, : value.shape[1]] = value
        else:
            continue
        taken += 1
    if taken < len(own) * 0.8:
        raise ModelError(
            f"{weights} fits only {taken} of the network's {len(own)} tensors: give weights of the same architecture"
        )
    return taken


def read_state(file: Path) -> dict[str, Tensor]:
    """The tensors of a torch file, read with weights_only. Raises ModelError where it is none."""
    value = read_checkpoint(file)
    state = value.get("model", value)
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ModelError(f"{file} holds no network's weights: give a torch state or a flowtell checkpoint")
    return state


def read_checkpoint(file: Path) -> dict[str, Any]:
    """A torch file's dictionary, read with weights_only so that no code of it runs. Raises ModelError."""
    if not file.is_file():
        raise ModelError(f"no file {file}: check the path")
    try:
        value = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ModelError(f"{file} is not a torch file of plain weights: give a checkpoint of 'train fit'") from error
    if not isinstance(value, dict):
        raise ModelError(f"{file} holds no dictionary of weights: give a checkpoint of 'train fit'")
    return value


def load(file: Path) -> tuple[Network, Contract]:
    """The network and the contract of a checkpoint that ``train fit`` wrote, ready to score (eval mode).

    Raises:
        ModelError: not such a checkpoint. ContractError: its contract cannot be met.
    """
    value = read_checkpoint(file)
    if not {"model", "contract", "arch"} <= value.keys():
        raise ModelError(f"{file} is no flowtell checkpoint: give best.pt or last.pt of a 'train fit' folder")
    contract = Contract.from_json(value["contract"])
    network = build(contract, value["arch"])
    try:
        network.load_state_dict(value["model"])
    except RuntimeError as error:
        raise ModelError(f"{file} does not fit its own architecture {value['arch']}") from error
    return network.eval(), contract


def _imagenet(vgg: bool) -> dict[str, Tensor]:
    weights = VGG16_Weights.IMAGENET1K_V1 if vgg else ResNet18_Weights.IMAGENET1K_V1
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=True, check_hash=True)
    except (URLError, OSError) as error:
        raise DataError(
            "ImageNet weights cannot be downloaded here: give --weights FILE (torchvision's state of that network), "
            "or --weights none to start from scratch"
        ) from error
    return state


def p_fake(logits: Tensor, contract: Contract) -> Tensor:
    """Logits (N, 2) -> calibrated P(fake) (N,): sigmoid of their difference over temperature, plus bias."""
    return torch.sigmoid((logits[:, 0] - logits[:, 1]) / contract.temperature + contract.bias)
