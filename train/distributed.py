"""Several processes as one: batch normalisation over the whole batch, and figures gathered in order.

torch's SyncBatchNorm exists on GPUs only. This one is ten lines, differentiates through the exchange, and gives on
any device what one process with the whole batch would get: so the loss curve does not depend on how many share it.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn


class _Sum(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class WholeBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation (Ioffe and Szegedy, 2015) whose statistics are those of the batch of all processes."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        if self.momentum is None or self.running_mean is None or self.running_var is None:
            raise RuntimeError("WholeBatchNorm2d needs running statistics with a momentum")
        wide = x if x.dtype is torch.float64 else x.float()
        count = wide.new_full((1,), x.numel() / x.shape[1])
        sums = cast(Tensor, _Sum.apply(torch.cat([wide.sum((0, 2, 3)), count])))
        total, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
        centred = wide - mean[:, None, None]
        # Twice over the data: the difference of large sums would cost the digits that the proof needs.
        variance = cast(Tensor, _Sum.apply(centred.square().sum((0, 2, 3)))) / total
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * total / (total - 1), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        y = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        return (y * self.weight[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def share_norms(module: nn.Module) -> None:
    """Replace every BatchNorm2d inside by one over all processes; names and values stay."""
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d:
            shared = WholeBatchNorm2d(child.num_features, child.eps, child.momentum)
            shared.load_state_dict(child.state_dict())
            for mine, theirs in zip(shared.parameters(), child.parameters(), strict=True):
                mine.requires_grad_(theirs.requires_grad)
            setattr(module, name, shared)
        else:
            share_norms(child)


def gather_striped(fabric: Fabric, mine: NDArray[np.float64], total: int) -> NDArray[np.float64]:
    """Rows that each process has of its stripe (rank, rank + world, ...) -> all ``total`` rows in order."""
    if fabric.world_size == 1:
        return mine
    longest = -(-total // fabric.world_size)
    padded = np.zeros((longest, *mine.shape[1:]))
    padded[: len(mine)] = mine
    stripe = torch.from_numpy(padded).float().to(fabric.device)
    stripes = [torch.empty_like(stripe) for _ in range(fabric.world_size)]
    dist.all_gather(stripes, stripe)
    rows = torch.stack(stripes, 1)  # (longest, world, ...): read row by row, the order of the samples
    return np.asarray(rows.reshape(-1, *mine.shape[1:])[:total].cpu().numpy(), np.float64)
