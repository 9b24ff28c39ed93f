"""Where, not only whether: a second teacher for twins, whose difference shows what was altered.

Without pretrained weights a ResNet18 sees nothing in a single label per picture for a long time. Two 1 x 1
heads on its middle layers are asked for the altered region of each cell (the idea of Li et al., Face X-ray for
More General Face Forgery Detection, 2020); they are dropped when training ends.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812  (its name everywhere)
from torch import Tensor, nn
from torchvision.models import ResNet  # type: ignore[import-untyped]

from .models import Network

_UNRELATED = 25.0  # mean difference in gray levels from which twins are two pictures rather than one and its fake
_FROM, _RANGE = 1.5, 4.0  # a cell whose mean difference is _FROM gray levels is original, _FROM + _RANGE altered
_RARE = 3.0  # altered cells weigh more: most of a fake is not altered


class Localiser(nn.Module):
    """A ResNet ``network`` with a head on layers 2 and 3: uint8 (N, S, S, C) -> logits (N, 2) and two cell maps."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.heads = nn.ModuleList([nn.Conv2d(128, 1, 1), nn.Conv2d(256, 1, 1)])

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        body = cast(ResNet, self.network.body)
        x = body.maxpool(body.relu(body.bn1(body.conv1(self.network.normalise(image)))))
        second = body.layer2(body.layer1(x))
        third = body.layer3(second)
        logits = body.fc(torch.flatten(body.avgpool(body.layer4(third)), 1))
        return logits, [head(x) for head, x in zip(self.heads, (second, third), strict=True)]


def dense_loss(maps: list[Tensor], where: Tensor) -> Tensor:
    """How wrong the maps of a batch of twins are, altered and original in turn.

    where: (2N, S, S) uint8, the gray levels by which each differs from its twin.
    """
    difference = where[0::2].float().unsqueeze(1)  # (N, 1, S, S)
    related = (difference.mean((1, 2, 3), keepdim=True) < _UNRELATED).float()
    loss = torch.zeros((), device=where.device)
    for cells in (m.float() for m in maps):
        size = cells.shape[-1]
        altered = ((F.adaptive_avg_pool2d(difference, size) - _FROM) / _RANGE).clamp(0, 1)
        rare = torch.tensor(_RARE, device=where.device)
        wrong = F.binary_cross_entropy_with_logits(cells[0::2], altered, reduction="none", pos_weight=rare)
        loss = loss + (wrong * related).mean()
        loss = loss + F.binary_cross_entropy_with_logits(cells[1::2], torch.zeros_like(altered))
    return loss
