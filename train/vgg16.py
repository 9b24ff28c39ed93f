"""VGG16 as the second notebook used it on drawn flow: its convolutions, flattened, two wide layers and one number.

Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition (2015).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models import vgg16  # type: ignore[import-untyped]

from stream.errors import UsageError

WIDE = 4096
FROZEN_LAYERS = 24
"""Of ``layers``: all before the fifth block, whose three convolutions and pooling are Keras's last 4 layers."""


class Vgg16Flat(nn.Module):
    """Pictures (N, 3, S, S) -> logits (N, 2).

    The notebook's one number z with a sigmoid and binary cross entropy is the pair (z, 0) with softmax and cross
    entropy: the same P(fake), the same loss, the same count of parameters (50,378,561 for 120 px).
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        if size < 32:
            raise UsageError(f"VGG16 halves a picture five times: {size} px is less than 32")
        self.features = vgg16(weights=None).features
        if channels != 3:
            self.features[0] = nn.Conv2d(channels, 64, 3, padding=1)
        # Not "classifier": ImageNet's own head would half fit.
        self.head = nn.Sequential(
            nn.Linear(512 * (size // 32) ** 2, WIDE), nn.ReLU(), nn.Linear(WIDE, WIDE), nn.ReLU(), nn.Linear(WIDE, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        z = self.head(self.features(x).flatten(1))
        return torch.cat((z, torch.zeros_like(z)), 1)

    def layers(self) -> list[nn.Module]:
        """What can be frozen from the front, one by one."""
        return [*self.features, self.head]
