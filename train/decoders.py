"""Small autoencoders, trained on a bank's real faces: what the decoder of a generator leaves in a picture.

Face swaps and talking heads come out of a decoder that paints a face from few numbers, each by its own way of
enlarging. A real face sent through such a decoder is a fake of the same person at the same moment, so that nothing
but the painting tells them apart. Written from the idea of aligned reconstructions (Rajan et al., Aligned Datasets
Improve Detection of Latent Diffusion-Generated Images, 2024), with networks that two cores train in minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from stream.errors import DataError, ModelError

from .bank import DECODERS, Bank, Moment, held_out
from .models import read_checkpoint
from .pseudo import Frames, Rng
from .store import write_atomically

# How it enlarges, how often it halves, and the numbers it keeps for each place: from a latent code's 4 x 4 px patches
# to the tight waist and depth-to-space of face swap tools.
SPECS: tuple[tuple[str, int, int], ...] = (
    ("nearest", 3, 24),
    ("transposed", 3, 16),
    ("shuffle", 4, 64),
    ("bilinear", 2, 6),
)
_WIDTH, _CROP, _BATCH = 16, 96, 16
_KEPT = (0.4, 1.0)  # shares of the training after which each is kept: a coarse painter and a finer one


class Autoencoder(nn.Module):
    """(N, 3, H, W) in [0, 1] there and back through a waist of ``latent`` channels; H and W are multiples of 16."""

    def __init__(self, up: str, depth: int, latent: int) -> None:
        super().__init__()
        sizes = [3, *(_WIDTH * 2**k for k in range(depth))]
        down = [
            layer for a, b in pairwise(sizes) for layer in (nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.1, inplace=True))
        ]
        self.encode = nn.Sequential(*down, nn.Conv2d(sizes[-1], latent, 1))
        paint: list[nn.Module] = [nn.Conv2d(latent, sizes[-1], 3, 1, 1), nn.LeakyReLU(0.1, inplace=True)]
        for a, b in zip(sizes[:0:-1], [*sizes[-2:0:-1], _WIDTH], strict=True):
            paint += [*_enlarge(up, a, b), nn.LeakyReLU(0.1, inplace=True), nn.Conv2d(b, b, 3, 1, 1)]
            paint += [nn.LeakyReLU(0.1, inplace=True)]
        self.paint = nn.Sequential(*paint, nn.Conv2d(_WIDTH, 3, 3, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        return cast(Tensor, self.paint(self.encode(pictures - 0.5)) + 0.5)


def _enlarge(up: str, channels: int, out: int) -> list[nn.Module]:
    if up == "transposed":
        return [nn.ConvTranspose2d(channels, out, 4, 2, 1)]
    if up == "shuffle":
        return [nn.Conv2d(channels, 4 * out, 3, 1, 1), nn.PixelShuffle(2)]
    return [nn.Upsample(scale_factor=2, mode=up), nn.Conv2d(channels, out, 3, 1, 1)]


def fit_decoders(bank: Bank, steps: int, seed: int = 0, progress: Callable[[], None] = lambda: None) -> int:
    """Train one of each of ``SPECS`` for ``steps`` batches, and leave them in the bank's folder, in ``DECODERS``.

    Gives the number left there: each is kept twice, coarse and fine. They learn from real faces alone, and not from
    people held out. ``progress`` is called after every batch.

    Raises:
        DataError: the bank holds no real clip for this. OutputError: the file cannot be written.
    """
    real = [m for m in bank.moments if m.source.label == "real" and not held_out(m)]
    if all(m.source.still for m in real):  # they could learn from photographs, but no twins could be made of these
        raise DataError(f"{bank.folder} holds no real clip of people not held out: gather more people")
    torch.manual_seed(seed)
    keep_after = {max(1, round(share * steps)) for share in _KEPT}
    rng, kept = np.random.default_rng(seed), list[dict[str, object]]()
    for spec in SPECS:
        network = Autoencoder(*spec).train()
        optimizer = torch.optim.Adam(network.parameters(), 1.5e-3)
        slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for step in range(1, steps + 1):
            true = _pictures(np.stack([_crop(bank, real, rng) for _ in range(_BATCH)]))
            painted = network(true)
            # Edges count beside values (Mathieu et al., 2016), or all that few steps teach is a blur.
            loss = functional.l1_loss(painted, true) + sum(
                functional.l1_loss(painted.diff(dim=axis), true.diff(dim=axis)) for axis in (2, 3)
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            slower.step()
            if step in keep_after:
                state = {k: v.to(torch.float16) for k, v in network.state_dict().items()}
                kept.append({"spec": spec, "state": state})
            progress()
    write_atomically(bank.folder / DECODERS, lambda file: torch.save({"decoders": kept}, file))
    return len(kept)


def _crop(bank: Bank, real: Sequence[Moment], rng: Rng) -> NDArray[np.uint8]:
    moment = real[int(rng.integers(len(real)))]
    region = bank.regions(moment)[rng.integers(moment.frames)]
    side = max(_CROP, round(moment.side * rng.uniform(0.4, 1.0)))
    picture = cv2.resize(region, (side, side), interpolation=cv2.INTER_AREA)
    # Towards the middle, where the face is.
    x, y = (round((side - _CROP) * rng.beta(2, 2)) for _ in "xy")
    crop = picture[y : y + _CROP, x : x + _CROP]
    return np.asarray(crop[:, ::-1] if rng.random() < 0.5 else crop, np.uint8)


class Decoders:
    """The decoders of a bank, as painters of frames: a ``pseudo.Paint``.

    Raises:
        DataError: the file is not one of ``fit_decoders``.
    """

    def __init__(self, file: Path) -> None:
        try:
            self._networks = [_decoder(**kept) for kept in read_checkpoint(file)["decoders"]]
        except (ModelError, KeyError, TypeError, RuntimeError) as error:
            raise DataError(f"{file} holds no decoders: make them anew with 'flowtell train decoders'") from error

    def __call__(self, frames: Frames, rng: Rng) -> Frames:
        """(T, S, S, 3) BGR uint8, all painted by one decoder at one size drawn at random."""
        network = self._networks[rng.integers(len(self._networks))]
        side = frames.shape[1]
        inner = max(64, round(side * rng.uniform(0.5, 1.0) / 16) * 16)
        small = np.stack([cv2.resize(f, (inner, inner), interpolation=cv2.INTER_AREA) for f in frames])
        # A caller's precision must not reach the samples: validation draws them under Fabric's autocast.
        with torch.inference_mode(), torch.autocast("cpu", enabled=False):
            painted = network(_pictures(small)).clamp(0, 1).mul(255)
        painted = painted.permute(0, 2, 3, 1).numpy()
        # Few steps teach no true colours, which a good generator has: what is slow in space stays the picture's own.
        sigma, strength = inner * rng.uniform(0.02, 0.05), rng.uniform(0.6, 1.0)
        back = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
        out = np.empty_like(frames)
        for k, frame in enumerate(small):
            error = frame.astype(np.float32) - painted[k]
            lost = error - cv2.GaussianBlur(error, (0, 0), sigma)
            told = np.clip(np.rint(frame - strength * lost), 0, 255).astype(np.uint8)
            out[k] = cv2.resize(told, (side, side), interpolation=back)
        return out


def _decoder(spec: tuple[str, int, int], state: dict[str, Tensor]) -> Autoencoder:
    network = Autoencoder(*spec).eval().requires_grad_(False)
    network.load_state_dict(state)
    return network


def decoders_of(bank: Bank) -> Decoders | None:
    """The decoders that lie in the bank's folder, if any."""
    file = bank.folder / DECODERS
    return Decoders(file) if file.exists() else None


def _pictures(frames: Frames) -> Tensor:
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float().div(255).contiguous()
