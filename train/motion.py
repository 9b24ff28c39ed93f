"""Synthetic motion of real pictures: pairs of crops whose flow is known because it was made.

With a picture P and a flow F, ``second(x) = P(x)`` and ``first(x) = P(x + F(x))``: so F is exactly the motion from
the first crop to the second, wherever x + F(x) lies. Idea: FlyingChairs (Dosovitskiy and others, 2015), with
the small, smooth motions of a head in front of a background instead of chairs.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.errors import DataError
from stream.records import Image

Flow = NDArray[np.float32]
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
LEAST_SHIFT, MOST_SHIFT = 0.002, 0.05
"""Motion of a pair, as a share of the crop's side: 0.25 to 6.4 px of 128, drawn evenly in its logarithm."""


def picture_files(folder: Path, held_out: bool) -> list[Path]:
    """The pictures below a folder that are for training, or the tenth (by a hash of the name) that is held out.

    Raises:
        DataError: no folder, or too few pictures in it.
    """
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES) if folder.is_dir() else []
    chosen = [p for p in files if (_hash(p.name) % 10 == 0) == held_out]
    if not chosen:
        raise DataError(
            f"{folder} needs pictures ({', '.join(sorted(PICTURES))}), about ten at least: found {len(files)}"
        )
    return chosen


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def read_picture(file: Path) -> Image:
    """A picture, (H, W, 3) BGR. Raises DataError where it cannot be read."""
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if picture is None:
        raise DataError(f"{file} is not a picture that can be read: take it out of the folder")
    return np.asarray(picture, np.uint8)


def random_flow(size: int, rng: np.random.Generator) -> Flow:
    """A random (size, size, 2) flow in pixels: a background, half of the time with a head moving of its own."""
    shift_px = size * float(np.exp(rng.uniform(np.log(LEAST_SHIFT), np.log(MOST_SHIFT))))
    flow = _rigid(size, shift_px, rng) + _smooth(size, shift_px, rng)
    if rng.random() < 0.5:
        head = _rigid(size, shift_px, rng) + _smooth(size, shift_px, rng)
        mask = np.zeros((size, size), np.float32)
        center = rng.uniform(0.35, 0.65, 2) * size
        axes = rng.uniform(0.2, 0.4, 2) * size
        cv2.ellipse(
            mask,
            (round(center[0]), round(center[1])),
            (round(axes[0]), round(axes[1])),
            float(rng.uniform(-30, 30)),
            0,
            360,
            1.0,
            -1,
        )
        mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), size * 0.01), np.float32)[..., None]
        flow = flow + mask * (head - flow)
    return np.asarray(flow, np.float32)


def _rigid(size: int, shift_px: float, rng: np.random.Generator) -> Flow:
    """A shift, a turn and a zoom, the two latter about as large at the crop's edge as the shift."""
    ys, xs = np.mgrid[:size, :size].astype(np.float32) - (size - 1) / 2
    turn, zoom = rng.normal(0, 0.5, 2) * shift_px / (size / 2)
    dx, dy = rng.normal(0, 1, 2) * shift_px
    return np.stack((dx + zoom * xs - turn * ys, dy + turn * xs + zoom * ys), axis=-1).astype(np.float32)


def _smooth(size: int, shift_px: float, rng: np.random.Generator) -> Flow:
    """What is not rigid: a few random vectors, smoothly interpolated."""
    knots = int(rng.integers(3, 8))
    vectors = (rng.normal(0, 0.4, (knots, knots, 2)) * shift_px).astype(np.float32)
    return np.asarray(cv2.resize(vectors, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)


def moving_pair(picture: Image, size: int, rng: np.random.Generator) -> tuple[Image, Image, Flow]:
    """Two (size, size, 3) BGR crops of a picture and the flow between them, (size, size, 2) in pixels.

    Both get their own sensor noise, and one a slightly other exposure, as two frames of a camera do.
    """
    short = min(picture.shape[:2])
    scale = size / (short * rng.uniform(0.5, 1.0))
    scaled = cv2.resize(
        picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )
    height, width = scaled.shape[:2]
    left, top = rng.uniform(0, max(width - size, 0) + 1e-3), rng.uniform(0, max(height - size, 0) + 1e-3)
    ys, xs = np.mgrid[:size, :size].astype(np.float32)
    xs, ys = xs + np.float32(left), ys + np.float32(top)
    flow = random_flow(size, rng)
    crops = [
        np.asarray(cv2.remap(scaled, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101), np.float32)
        for x, y in ((xs + flow[..., 0], ys + flow[..., 1]), (xs, ys))
    ]
    crops[0] = crops[0] * np.float32(rng.uniform(0.95, 1.05)) + np.float32(rng.uniform(-4, 4))
    noise = rng.uniform(0, 3)
    first, second = (
        np.clip(np.rint(c + rng.standard_normal(c.shape, np.float32) * np.float32(noise)), 0, 255).astype(np.uint8)
        for c in crops
    )
    return first, second, flow
