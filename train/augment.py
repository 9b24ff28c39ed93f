"""What may happen to a pair of crops before flow: the same to both classes, the same to both crops.

Only noise differs between the two crops of a pair, as it does in a camera. With every chance at 0 the crops come
back as they went in, byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np

from stream.errors import UsageError
from stream.records import Image

Crops = tuple[Image, Image]


@dataclass(frozen=True, slots=True)
class Augment:
    """The chance of each change, in [0, 1]; all 0 changes nothing.

    ``flip``: left and right. ``jitter``: the box moved by up to 4 % and scaled by up to 5 %, common to both crops.
    ``colour``: brightness, contrast, gamma, saturation and hue. ``shrink``: down to 40..90 % and up again.
    ``blur``: Gaussian, sigma 0.4..1.6 pixels of a 224 px crop. ``noise``: sigma 1..8 gray levels.
    ``compress``: JPEG of quality 35..95.
    """

    flip: float = 0.0
    jitter: float = 0.0
    colour: float = 0.0
    shrink: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    compress: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not 0 <= getattr(self, field.name) <= 1:
                raise UsageError(f"the chance of the augmentation '{field.name}' must lie in [0, 1]")


def augment(first: Image, second: Image, options: Augment, rng: np.random.Generator) -> Crops:
    """Two (S, S, 3) BGR crops -> two of the same shape, changed alike."""
    # Every chance is drawn, so that switching one change off leaves the others as they were.
    chances = dict(zip((f.name for f in fields(options)), rng.random(len(fields(options))), strict=True))
    pair: Crops = (first, second)
    for change in (_flip, _jitter, _colour, _shrink, _blur, _noise, _compress):
        name = change.__name__[1:]
        if chances[name] < getattr(options, name):
            pair = change(pair, rng)
    return pair


def _flip(pair: Crops, rng: np.random.Generator) -> Crops:
    return np.ascontiguousarray(pair[0][:, ::-1]), np.ascontiguousarray(pair[1][:, ::-1])


def _jitter(pair: Crops, rng: np.random.Generator) -> Crops:
    side = pair[0].shape[0]
    scale, (dx, dy) = rng.uniform(0.95, 1.05), rng.uniform(-0.04, 0.04, 2) * side
    middle = (side - 1) / 2
    matrix = np.array([[scale, 0, middle * (1 - scale) + dx], [0, scale, middle * (1 - scale) + dy]])
    one, two = (
        cv2.warpAffine(c, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for c in pair
    )
    return np.asarray(one, np.uint8), np.asarray(two, np.uint8)


def _colour(pair: Crops, rng: np.random.Generator) -> Crops:
    gain, lift, gamma = rng.uniform(0.85, 1.15), rng.uniform(-20, 20), np.exp(rng.uniform(-0.25, 0.25))
    curve = 255 * np.clip((np.arange(256) * gain + lift) / 255, 0, 1) ** gamma
    table, saturation, turn = np.asarray(curve.round(), np.uint8), rng.uniform(0.7, 1.3), int(rng.integers(-6, 7))
    changed = []
    for crop in pair:
        hsv = np.asarray(cv2.cvtColor(cv2.LUT(crop, table), cv2.COLOR_BGR2HSV), np.int16)
        hsv[..., 0] = (hsv[..., 0] + turn) % 180
        hsv[..., 1] = np.clip(hsv[..., 1] * saturation, 0, 255)
        changed.append(np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2BGR), np.uint8))
    return changed[0], changed[1]


def _shrink(pair: Crops, rng: np.random.Generator) -> Crops:
    side = pair[0].shape[0]
    small = max(8, round(side * rng.uniform(0.4, 0.9)))
    up = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
    one, two = (
        cv2.resize(cv2.resize(c, (small, small), interpolation=cv2.INTER_AREA), (side, side), interpolation=up)
        for c in pair
    )
    return np.asarray(one, np.uint8), np.asarray(two, np.uint8)


def _blur(pair: Crops, rng: np.random.Generator) -> Crops:
    sigma = rng.uniform(0.4, 1.6) * pair[0].shape[0] / 224
    one, two = (cv2.GaussianBlur(c, (0, 0), sigma) for c in pair)
    return np.asarray(one, np.uint8), np.asarray(two, np.uint8)


def _noise(pair: Crops, rng: np.random.Generator) -> Crops:
    sigma = rng.uniform(1, 8)
    one, two = (
        np.clip(np.rint(c + rng.normal(0, sigma, c.shape).astype(np.float32)), 0, 255).astype(np.uint8) for c in pair
    )
    return one, two


def _compress(pair: Crops, rng: np.random.Generator) -> Crops:
    quality = int(rng.integers(35, 96))
    one, two = (
        cv2.imdecode(cv2.imencode(".jpg", c, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR) for c in pair
    )
    return np.asarray(one, np.uint8), np.asarray(two, np.uint8)
