"""A second opinion beside a ResNet18: how fine the picture is, ring by ring around the face.

A face that was painted and pasted is a little smoother or noisier than what surrounds it, most of all where a mask
fades it out. A network that learned from few people misses that; as some numbers it can be read off, and weighed by a
logistic regression, for which a few real deepfakes suffice. What a blur takes away is what forensics calls a noise
residual (Fridrich and Kodovsky, Rich Models for Steganalysis of Digital Images, 2012).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from stream.contract import Contract
from stream.errors import ContractError

from .models import Network

LEVELS = 4  # octaves of detail
RINGS = (0.0, 0.25, 0.45, 0.6, 0.75, 0.9, 1.05, 1.2, 1.4, 2.0)  # radii about the middle, in halves of the face's box
_LEAST = 1e-2  # gray levels; below this, detail is quantisation
_SEEN = 0.002  # share of the crop; the corners that a narrow margin leaves of the outermost ring are no ring
# RGB -> luma and two colour differences, and in a stack what the flow cannot explain, in gray levels.
_PLANES = ((0.299, 0.587, 0.114), (0.5, -0.419, -0.081), (-0.169, -0.331, 0.5))
_UNEXPLAINED = 0.5  # stream.fusion writes two levels a gray level


class Bands(nn.Module):
    """Log of each plane's mean detail by octave and ring, less the rings' mean: uint8 (N, S, S, C) -> (N, ``count``).

    Detail is how far, in gray levels either way, a picture is from its blur. Relative, since how sharp or noisy a
    picture is as a whole tells its source, not its label. ``rgb`` has three planes, ``stack`` four.

    Raises:
        ContractError: another form of input.
    """

    def __init__(self, contract: Contract) -> None:
        super().__init__()
        planes = {"rgb": 3, "stack": 4}.get(contract.input, 0)
        if not planes:
            raise ContractError(f"bands are read off rgb or stack, not {contract.input}: give another network")
        rings = list(_rings(contract))
        self.count = planes * LEVELS * rings[0].shape[1]
        mix = torch.zeros(contract.channels, planes)
        mix[:3, :3] = torch.tensor(_PLANES).T
        mix[5:, 3:] = _UNEXPLAINED
        self.mix: Tensor
        self.register_buffer("mix", mix, persistent=False)
        for level, ring in enumerate(rings):
            self.register_buffer(f"ring{level}", ring, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        # Means and products alone, no Conv, Relu, Add or MaxPool: the 8-bit conversion leaves all of it in float32.
        plane = (image.to(self.mix.dtype) @ self.mix).permute(0, 3, 1, 2)
        details = []
        for level in range(LEVELS):
            smooth = functional.pad(plane, (2, 2, 2, 2), mode="replicate")
            for _ in range(4):  # four times two neighbours' mean: the binomial filter 1 4 6 4 1 in both directions
                smooth = functional.avg_pool2d(smooth, 2, stride=1)
            ring = getattr(self, f"ring{level}")
            details.append(torch.log(((plane - smooth).abs().flatten(2) @ ring).clamp(min=_LEAST)))
            plane = functional.avg_pool2d(smooth, 2)
        found = torch.stack(details, dim=2)
        return (found - found.mean(dim=3, keepdim=True)).flatten(1)


class BandsNetwork(Network):
    """``body`` and ``Bands``, weighed by one linear layer: uint8 (N, S, S, C) -> logits (N, 2)."""

    def __init__(self, contract: Contract, body: nn.Module) -> None:
        super().__init__(contract, body)
        self.bands = Bands(contract)
        self.head = nn.Linear(2 + self.bands.count, 2)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.cat([super().forward(image), self.bands(image)], dim=1))
        return logits

    def weigh(self, body: float, bands: Sequence[float], bias: float) -> None:
        """Make the logits' difference ``body`` times that of the body's, plus ``bands`` by the bands, plus ``bias``."""
        with torch.no_grad():
            self.head.weight.zero_()
            self.head.bias.zero_()
            self.head.weight[0] = torch.tensor([body, -body, *bands])
            self.head.bias[0] = bias


def _rings(contract: Contract) -> Iterator[Tensor]:
    """For each octave what takes the mean over every ring that the crop shows, (pixels, rings)."""
    middle = (contract.size - 1) / 2
    half_face = contract.size / (1 + 2 * contract.margin) / 2
    along = (torch.arange(contract.size) - middle) / half_face
    radius = torch.hypot(along[:, None], along[None, :])
    rings = [((radius >= inner) & (radius < outer)).float() for inner, outer in pairwise(RINGS)]
    ring = torch.stack([r for r in rings if r.mean() > _SEEN])
    for _ in range(LEVELS):
        flat = ring.flatten(1)
        yield (flat / flat.sum(dim=1, keepdim=True)).T.contiguous()
        ring = functional.avg_pool2d(ring, 2)
