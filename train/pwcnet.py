"""PWC-Net, written from the paper: learned optical flow by pyramid, warping, cost volume and context network.

Sun, Yang, Liu and Kautz, PWC-Net: CNNs for Optical Flow Using Pyramid, Warping, and Cost Volume (CVPR 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own habit

UNIT_PX = 20.0
"""The network's numbers are flow / 20, the paper's scaling of the ground truth."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes of a PWC-Net.

    channels: of each pyramid level, each half the size of the one before. decoder: of the flow estimator's
    convolutions, densely connected. context: of the context network, with ``dilations``. search: the cost
    volume compares within this many pixels of a level. finest: the level whose flow is the answer (2: a quarter).
    normalise: bring each picture's features to mean 0 and variance 1 before they are compared, which the paper does
    not, but without which a short training hardly starts (Jonschkowski and others, What Matters in Unsupervised
    Optical Flow, 2020).
    """

    channels: tuple[int, ...]
    decoder: tuple[int, ...]
    context: tuple[int, ...]
    dilations: tuple[int, ...]
    search: int
    finest: int = 2
    normalise: bool = False

    @property
    def multiple_px(self) -> int:
        """The input's side must be a multiple of this, in pixels."""
        return int(2 ** len(self.channels))


PLANS = {
    "full": Plan(
        (16, 32, 64, 96, 128, 196), (128, 128, 96, 64, 32), (128, 128, 128, 96, 64, 32), (1, 2, 4, 8, 16, 1), 4
    ),
    # For live use on face crops of about 128 px, which move by a few pixels from frame to frame.
    "small": Plan((16, 24, 32, 48), (40, 32, 24), (40, 32, 24), (1, 2, 4), 2, normalise=True),
}


def _conv(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation), nn.LeakyReLU(0.1))


def cost_volume(first: Tensor, second: Tensor, search: int) -> Tensor:
    """Correlation of (N, C, H, W) features with their neighbours in the other, (N, (2 search + 1)^2, H, W)."""
    height, width = first.shape[2:]
    padded = F.pad(second, [search] * 4)
    steps = range(2 * search + 1)
    return torch.cat(
        [(first * padded[:, :, y : y + height, x : x + width]).mean(1, keepdim=True) for y in steps for x in steps],
        1,
    )


def normalised(features: Tensor) -> Tensor:
    """(N, C, H, W) features with mean 0 and variance 1 over each picture."""
    mean = features.mean((1, 2, 3), keepdim=True)
    return (features - mean) * torch.rsqrt((features - mean).square().mean((1, 2, 3), keepdim=True) + 1e-6)


def warp(features: Tensor, flow: Tensor) -> Tensor:
    """(N, C, H, W) features moved back along an (N, 2, H, W) flow in pixels of that level; outside is zero."""
    height, width = features.shape[2:]
    ys = torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None]
    xs = torch.arange(width, device=flow.device, dtype=flow.dtype)[None, :]
    x = (xs + flow[:, 0]) * (2 / (width - 1)) - 1
    y = (ys + flow[:, 1]) * (2 / (height - 1)) - 1
    return F.grid_sample(features, torch.stack((x, y), -1), align_corners=True)


class _Estimator(nn.Module):
    """One level's flow estimator: each convolution sees everything before it (the paper's DenseNet connections)."""

    def __init__(self, inputs: int, decoder: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for outputs in decoder:
            self.layers.append(_conv(inputs, outputs))
            inputs += outputs
        self.outputs = inputs
        self.flow = nn.Conv2d(inputs, 2, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for layer in self.layers:
            x = torch.cat((layer(x), x), 1)
        return self.flow(x), x


class PwcNet(nn.Module):
    """Two (N, 3, H, W) pictures in [0, 1] -> flows / 20, coarsest level first; the last one is the answer."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        sizes = (3, *plan.channels)
        self.pyramid = nn.ModuleList(nn.Sequential(_conv(a, b, stride=2), _conv(b, b)) for a, b in pairwise(sizes))
        volume = (2 * plan.search + 1) ** 2
        self.levels = list(range(len(plan.channels), plan.finest - 1, -1))
        self.estimators, self.up_flow, self.up_features = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        heads = []
        for level in self.levels:
            top = level == self.levels[0]
            estimator = _Estimator(volume if top else volume + plan.channels[level - 1] + 4, plan.decoder)
            self.estimators.append(estimator)
            heads.append(estimator.flow)
            if level != self.levels[-1]:
                self.up_flow.append(nn.ConvTranspose2d(2, 2, 4, 2, 1))
                self.up_features.append(nn.ConvTranspose2d(estimator.outputs, 2, 4, 2, 1))
        layers: list[nn.Module] = []
        inputs = estimator.outputs
        for outputs, dilation in zip(plan.context, plan.dilations, strict=True):
            layers.append(_conv(inputs, outputs, dilation=dilation))
            inputs = outputs
        refine = nn.Conv2d(inputs, 2, 3, padding=1)
        self.context = nn.Sequential(*layers, refine)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, a=0.1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        # Start from "nothing moves": with flow heads at random, the first thousand steps only unlearn their noise.
        for head in (*heads, refine):
            nn.init.normal_(head.weight, std=1e-3)

    def forward(self, first: Tensor, second: Tensor) -> list[Tensor]:
        features = []
        x = torch.cat((first, second))
        for stage in self.pyramid:
            x = stage(x)
            features.append(x.chunk(2))
        flows: list[Tensor] = []
        state = flow = None
        for i, (level, estimator) in enumerate(zip(self.levels, self.estimators, strict=True)):
            one, two = features[level - 1]
            if self.plan.normalise:
                one, two = normalised(one), normalised(two)
            if flow is None or state is None:
                x = F.leaky_relu(cost_volume(one, two, self.plan.search), 0.1)
            else:
                raised = self.up_flow[i - 1](flow)
                moved = warp(two, raised * (UNIT_PX / 2**level))
                volume = F.leaky_relu(cost_volume(one, moved, self.plan.search), 0.1)
                x = torch.cat((volume, one, raised, self.up_features[i - 1](state)), 1)
            flow, state = estimator(x)
            if level == self.levels[-1]:
                flow = flow + self.context(state)
            flows.append(flow)
        return flows


class FlowNet(nn.Module):
    """What is exported: two (N, S, S, 3) BGR uint8 crops -> their flow in pixels, (N, S, S, 2) float32."""

    def __init__(self, net: PwcNet, size: int) -> None:
        super().__init__()
        if size % net.plan.multiple_px:
            raise ValueError(f"this PWC-Net needs a side that is a multiple of {net.plan.multiple_px} px, not {size}")
        self.net = net
        self.size = size

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        one, two = (x.permute(0, 3, 1, 2).float() / 255 for x in (first, second))
        flow = self.net(one, two)[-1] * UNIT_PX
        full = F.interpolate(flow, size=(self.size, self.size), mode="bilinear", align_corners=False)
        return full.permute(0, 2, 3, 1)


def parameters(net: nn.Module, trained_only: bool = False) -> int:
    """How many numbers a network holds, or learns."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad or not trained_only)
