"""Pseudo-fakes: what deepfake tools do to a face, done to real faces, consistently over a pair of frames.

Ideas: self-blended images (Shiohara and Yamasaki, Detecting Deepfakes with Self-Blended Images, 2022), the
low-resolution inner face and elliptical paste-back of live swap tools, the re-painted mouth of lip-sync tools,
the smoothed, re-sampled texture of generators, and their motion, smoother than a face's. Written from the ideas.

Every method takes ``frames`` (T, S, S, 3) BGR uint8 and ``landmarks`` (T, 5, 2), draws its choices once from a
``numpy.random.Generator`` and lets them drift a little over the frames, as a real tool's tracking does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.flows import dis
from stream.fusion import warp_back
from stream.records import Image

Frames = NDArray[np.uint8]
Points = NDArray[np.float32]
Matrix = NDArray[np.float64]
Mask = NDArray[np.float32]
Rng = np.random.Generator
Paint = Callable[[Frames, Rng], Frames]
"""What a generator makes of the frames that it paints, (T, S, S, 3) each: ``texture``, or ``decoders.Decoders``."""

# Where YuNet finds eyes, nose and mouth corners in its own box, as shares of the canonical face square.
TEMPLATE = np.array([[0.33, 0.40], [0.67, 0.40], [0.50, 0.60], [0.36, 0.79], [0.64, 0.79]], np.float32)
_GRID = 64  # masks are drawn in a face square of this size, then carried to the picture


@dataclass(frozen=True, slots=True)
class Shot:
    """A face over a few frames: (T, S, S, 3) BGR uint8 and (T, 5, 2) landmarks in pixels."""

    frames: Frames
    landmarks: Points
    face_px: float

    def resized(self, factor: float) -> Shot:
        """The same, ``factor`` times as large."""
        side = max(32, round(self.frames.shape[1] * factor))
        factor = side / self.frames.shape[1]
        how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        frames = np.stack([_u8(cv2.resize(f, (side, side), interpolation=how)) for f in self.frames])
        return Shot(frames, self.landmarks * np.float32(factor), self.face_px * factor)


def _u8(image: cv2.typing.MatLike) -> Image:
    return np.asarray(image, np.uint8)


def face_frames(landmarks: Points) -> list[Matrix]:
    """For each frame the 2 x 3 similarity that carries the unit face square into the picture.

    The detector's own jitter is damped: most of what differs between successive frames is noise.
    """
    center = landmarks.mean(axis=0, keepdims=True)
    steady = center + 0.6 * (landmarks - center)
    return [_similarity(TEMPLATE, points) for points in steady]


def _similarity(source: Points, target: Points) -> Matrix:
    """Least-squares similarity (Umeyama, 1991, without reflection), 2 x 3."""
    sc, tc = source.mean(axis=0), target.mean(axis=0)
    s, t = (source - sc).astype(np.float64), (target - tc).astype(np.float64)
    norm = max(float((s**2).sum()), 1e-9)
    a = float((s * t).sum()) / norm
    b = float((s[:, 0] * t[:, 1] - s[:, 1] * t[:, 0]).sum()) / norm
    rotation = np.array([[a, -b], [b, a]])
    return np.hstack([rotation, (tc - rotation @ sc)[:, None]])


def _square(matrix: Matrix) -> Matrix:
    return np.vstack([matrix, [0.0, 0.0, 1.0]])


def draw_mask(rng: Rng, part: str = "any") -> Mask:
    """A soft face mask in the unit square scaled to 64 x 64, in [0, 1]: an ellipse or a part of the face, deformed."""
    part = str(rng.choice(["face", "face", "face", "inner", "lower", "mouth", "eyes"])) if part == "any" else part
    cx, cy, rx, ry = {
        "face": (0.5, 0.53, 0.38, 0.50),
        "inner": (0.5, 0.57, 0.30, 0.36),
        "lower": (0.5, 0.74, 0.32, 0.26),
        "mouth": (0.5, 0.79, 0.22, 0.15),
        "eyes": (0.5, 0.40, 0.32, 0.15),
    }[part]
    scale = rng.uniform(0.85, 1.15, 2)
    ys, xs = (np.mgrid[-0.25 : 1.25 : _GRID * 1j, -0.25 : 1.25 : _GRID * 1j]).astype(np.float32)  # 25 % around the face
    bumps = [
        cv2.resize(rng.normal(0, 0.035, (5, 5)).astype(np.float32), (_GRID, _GRID), interpolation=cv2.INTER_CUBIC)
        for _ in "xy"
    ]
    power = rng.uniform(1.8, 3.5)  # from an ellipse towards a rounded box
    radius = (
        np.abs((xs + bumps[0] - cx) / (rx * scale[0])) ** power
        + np.abs((ys + bumps[1] - cy) / (ry * scale[1])) ** power
    )
    mask = (radius < 1).astype(np.float32)
    for _ in range(2):
        k = int(rng.integers(1, 6)) * 2 + 1
        mask = np.asarray(cv2.GaussianBlur(mask, (k, k), 0), np.float32)
    return np.asarray(mask * rng.choice([0.6, 0.8, 1.0, 1.0, 1.0, 1.0]), np.float32)


def place_mask(mask: Mask, face: Matrix, side: int) -> Mask:
    """The mask carried from the unit face square into a (side, side) picture, (side, side, 1)."""
    grid = np.array([[1.5 / (_GRID - 1), 0, -0.25], [0, 1.5 / (_GRID - 1), -0.25], [0, 0, 1.0]])
    placed = cv2.warpAffine(mask, (_square(face) @ grid)[:2], (side, side), flags=cv2.INTER_LINEAR)
    return np.asarray(placed, np.float32)[..., None]


def mix(inner: Image, outer: Image, mask: Mask) -> Image:
    """``inner`` where the mask is 1, ``outer`` where it is 0."""
    out = outer + mask * (inner.astype(np.float32) - outer)
    return np.asarray(np.rint(out), np.uint8)


def drift(rng: Rng, frames: int, sigma: float) -> list[NDArray[np.float64]]:
    """A slow random walk of ``frames`` small offsets (x, y), in shares of the face."""
    start = rng.normal(0, sigma, 2)
    return [start + step for step in np.cumsum(rng.normal(0, sigma * 0.25, (frames, 2)), axis=0)]


@dataclass(frozen=True, slots=True)
class Tone:
    """A change of colour: per-channel shift, saturation, gain around mid gray, gamma."""

    shift: tuple[float, float, float]
    saturation: float
    contrast: float
    gamma: float

    @classmethod
    def draw(cls, rng: Rng, strength: float = 1.0) -> Tone:
        shift = rng.uniform(-18, 18, 3) * strength + rng.uniform(-14, 14) * strength
        return cls(
            (float(shift[0]), float(shift[1]), float(shift[2])),
            float(1 + rng.uniform(-0.3, 0.3) * strength),
            float(1 + rng.uniform(-0.2, 0.2) * strength),
            float(np.exp(rng.uniform(-0.25, 0.25) * strength)),
        )

    def __call__(self, image: Image) -> Image:
        # One 256-entry table a channel does shift, contrast and gamma; saturation mixes with gray.
        levels = np.arange(256, dtype=np.float32)
        base = 255 * ((levels / 255) ** self.gamma - 0.5) * self.contrast + 127.5
        tables = np.stack([base + s for s in self.shift], axis=-1)[None]
        out = _u8(cv2.LUT(image, np.clip(tables, 0, 255).astype(np.uint8)))
        gray = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        return _u8(cv2.addWeighted(out, self.saturation, gray, 1 - self.saturation, 0))


def resample(image: Image, factor: float, rng: Rng) -> Image:
    """Down by ``factor`` and up again, with kernels drawn at random."""
    side = image.shape[1], image.shape[0]
    small = (max(8, round(side[0] / factor)), max(8, round(side[1] / factor)))
    down = int(rng.choice([cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
    up = int(
        rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4, cv2.INTER_NEAREST], p=[0.4, 0.3, 0.2, 0.1])
    )
    return _u8(cv2.resize(cv2.resize(image, small, interpolation=down), side, interpolation=up))


def sharpen(image: Image, amount: float, sigma: float = 1.2) -> Image:
    """Unsharp masking."""
    return _u8(cv2.addWeighted(image, 1 + amount, cv2.GaussianBlur(image, (0, 0), sigma), -amount, 0))


def texture(frames: Frames, rng: Rng) -> Frames:
    """What a generator's decoder leaves, imitated: lost detail, smoothed skin, over-sharpening, a faint grid."""
    kind = rng.choice(["resample", "smooth", "sharpen", "grid", "both"], p=[0.35, 0.2, 0.15, 0.1, 0.2])
    factor, amount = rng.uniform(1.7, 4.0), rng.uniform(0.8, 2.2)
    sigma, reach = rng.uniform(25, 70), int(rng.choice([5, 7, 9]))
    seed = int(rng.integers(2**31))
    phase = int(rng.choice([2, 4, 8]))
    gain = rng.uniform(3.0, 9.0)
    out = []
    for frame in frames:
        image, own = frame, np.random.default_rng(seed)
        if kind in ("smooth", "both"):
            image = _u8(cv2.bilateralFilter(image, reach, sigma, reach / 2))
        if kind in ("resample", "both"):
            image = resample(image, factor, own)
        if kind == "sharpen" or own.random() < 0.25:
            image = sharpen(image, amount)
        if kind == "grid":
            ys, xs = np.mgrid[: image.shape[0], : image.shape[1]]
            grid = (np.cos(2 * np.pi * xs / phase) * np.cos(2 * np.pi * ys / phase) * gain).astype(np.float32)
            image = np.clip(image + grid[..., None], 0, 255).astype(np.uint8)
        out.append(image)
    return np.stack(out)


def animate(shot: Shot, rng: Rng, strength: float = 1.0) -> Shot:
    """Smooth synthetic motion: frame k is frame 0 moved a little further, as a still comes alive.

    A global similarity plus one soft local push (a jaw or an eye); frame 0 stays as it is.
    """
    side, face = shot.frames.shape[1], shot.face_px
    shift, angle, zoom = (
        rng.normal(0, 0.008 * face * strength, 2),
        rng.normal(0, 0.5 * strength),
        rng.normal(0, 0.003 * strength),
    )
    push, spot = rng.normal(0, 0.012 * face * strength, 2), int(rng.integers(5))
    ys, xs = np.mgrid[:side, :side].astype(np.float32)
    px, py = shot.landmarks[0, spot]
    near = np.exp(-((xs - px) ** 2 + (ys - py) ** 2) / (2 * (0.18 * face) ** 2)).astype(np.float32)
    frames, landmarks = [], []
    for k in range(max(2, len(shot.frames))):
        matrix = np.asarray(cv2.getRotationMatrix2D((side / 2, side / 2), angle * k, 1 + zoom * k), np.float64)
        matrix[:, 2] += shift * k
        inverse = cv2.invertAffineTransform(matrix).astype(np.float32)
        mx = inverse[0, 0] * xs + inverse[0, 1] * ys + inverse[0, 2] - near * np.float32(push[0] * k)
        my = inverse[1, 0] * xs + inverse[1, 1] * ys + inverse[1, 2] - near * np.float32(push[1] * k)
        moved = (
            shot.frames[0]
            if k == 0
            else cv2.remap(shot.frames[0], mx, my, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        )
        frames.append(_u8(moved))
        landmarks.append(shot.landmarks[0] @ matrix[:, :2].T + matrix[:, 2])
    return Shot(np.stack(frames), np.asarray(landmarks, np.float32), face)


def self_blend(shot: Shot, rng: Rng, paint: Paint = texture) -> tuple[Frames, Frames]:
    """A face blended onto itself; returns (fake, its real partner, which carries the target's own colour change)."""
    mask, faces = draw_mask(rng), face_frames(shot.landmarks)
    side, count = shot.frames.shape[1], len(shot.frames)
    zoom, turn = rng.uniform(0.93, 1.07), rng.uniform(-4, 4)
    offsets = drift(rng, count, 0.018)
    inner, outer = shot.frames, shot.frames
    change = rng.choice(["tone", "texture", "both"], p=[0.3, 0.3, 0.4])
    swap_roles = rng.random() < 0.3
    if change in ("tone", "both"):
        tone = Tone.draw(rng, rng.uniform(0.6, 1.3))
        toned = np.stack([tone(f) for f in shot.frames])
        inner, outer = (inner, toned) if swap_roles else (toned, outer)
    if change in ("texture", "both"):
        inner = paint(inner, rng)
    out = []
    for k in range(count):
        x, y = faces[k][:, :2] @ [0.5, 0.55] + faces[k][:, 2]
        move = np.asarray(cv2.getRotationMatrix2D((float(x), float(y)), turn, zoom), np.float64)
        move[:, 2] += offsets[k] * shot.face_px
        moved = _u8(
            cv2.warpAffine(inner[k], move, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        )
        out.append(mix(moved, outer[k], place_mask(mask, faces[k], side)))
    return np.stack(out), outer


def swap(shot: Shot, donor: Shot, rng: Rng, decode: Paint | None = None) -> Frames:
    """Another person's face, aligned by landmarks, at the low resolution of a live tool, pasted with a soft mask.

    decode: paints the face before it is pasted; None leaves it as it was filmed.
    """
    mask = draw_mask(rng, str(rng.choice(["face", "face", "inner"])))
    targets, sources = face_frames(shot.landmarks), face_frames(donor.landmarks)
    side, inner_px = shot.frames.shape[1], int(rng.choice([64, 96, 128, 160, 224]))
    inner_px = min(inner_px, int(shot.face_px * 1.3))
    tiny = np.array(
        [[inner_px / 1.5, 0, inner_px / 6], [0, inner_px / 1.5, inner_px / 6], [0, 0, 1.0]]
    )  # unit square -> chip
    smooth, sharp, strength = (
        rng.random() < 0.4,
        rng.uniform(0, 1.0) if rng.random() < 0.4 else 0.0,
        rng.uniform(0.7, 1.0),
    )
    keep_mouth = rng.random() < 0.12
    offsets = drift(rng, len(shot.frames), 0.006)
    chips = np.empty((len(shot.frames), inner_px, inner_px, 3), np.uint8)
    for k in range(len(chips)):
        j = min(k, len(donor.frames) - 1)
        to_chip = (tiny @ np.linalg.inv(_square(sources[j])))[:2]
        chips[k] = cv2.warpAffine(
            donor.frames[j], to_chip, (inner_px, inner_px), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101
        )
        if smooth:
            chips[k] = cv2.bilateralFilter(chips[k], 5, 25, 3)
    if decode:
        chips = decode(chips, rng)
    out = []
    for k, frame in enumerate(shot.frames):
        target = targets[k].copy()
        target[:, 2] += offsets[k] * shot.face_px
        back = (_square(target) @ np.linalg.inv(tiny))[:2]
        pasted = _u8(
            cv2.warpAffine(chips[k], back, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        )
        if sharp:
            pasted = sharpen(pasted, sharp)
        placed = place_mask(mask, targets[k], side)
        pasted = match_colour(pasted, frame, placed[..., 0] > 0.3, strength)
        result = mix(pasted, frame, placed)
        if keep_mouth:
            result = mix(frame, result, place_mask(_MOUTH, targets[k], side))
        out.append(result)
    return np.stack(out)


def match_colour(image: Image, target: Image, where: NDArray[np.bool_], strength: float) -> Image:
    """Mean and spread of each channel brought to the target's within ``where`` (Reinhard et al., 2001, in BGR)."""
    if where.sum() < 16:
        return image
    a, b = image[where].astype(np.float32), target[where].astype(np.float32)
    gain = np.clip(b.std(axis=0) / np.maximum(a.std(axis=0), 1.0), 0.6, 1.6)
    gain = 1 + strength * (gain - 1)
    offset = strength * (b.mean(axis=0) - a.mean(axis=0)) + a.mean(axis=0) * (1 - gain)
    table = np.clip(np.arange(256, dtype=np.float32)[:, None] * gain + offset, 0, 255).astype(np.uint8)
    return _u8(cv2.LUT(image, table[None]))


def lips(shot: Shot, other: Shot, rng: Rng, decode: Paint | None = None) -> Frames:
    """The mouth of another moment, at low resolution, painted over this one's, as lip-sync tools do.

    decode: paints it; None lowers its resolution instead.
    """
    mask = draw_mask(rng, str(rng.choice(["mouth", "lower"])))
    targets, sources = face_frames(shot.landmarks), face_frames(other.landmarks)
    side = shot.frames.shape[1]
    factor = rng.uniform(1.6, 4.0)
    tone = Tone.draw(rng, 0.35)
    seed = int(rng.integers(2**31))
    offsets = drift(rng, len(shot.frames), 0.006)
    moved = np.empty_like(shot.frames)
    for k in range(len(moved)):
        j = min(k, len(other.frames) - 1)
        carry = (_square(targets[k]) @ np.linalg.inv(_square(sources[j])))[:2]
        carry[:, 2] += offsets[k] * shot.face_px
        moved[k] = tone(
            _u8(
                cv2.warpAffine(
                    other.frames[j], carry, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
                )
            )
        )
    if decode:
        moved = decode(moved, rng)
    else:
        moved = np.stack([resample(m, factor, np.random.default_rng(seed)) for m in moved])
    return _pasted(moved, shot.frames, mask, targets)


def repaint(shot: Shot, rng: Rng, paint: Paint = texture) -> Frames:
    """A whole head as a generator paints it: texture lost inside the head only, or a still brought to motion."""
    if rng.random() < 0.25:
        still = Shot(paint(shot.frames[:1], rng), shot.landmarks[:1], shot.face_px)
        return animate(still, rng).frames[: len(shot.frames)]
    return _inside(paint(shot.frames, rng), shot, rng)


def reenact(shot: Shot, rng: Rng, paint: Paint = texture) -> Frames:
    """A face that a generator moves: one frame's texture carried along a smoothed version of the true motion."""
    source, sigma = int(rng.integers(len(shot.frames))), rng.uniform(0.03, 0.12) * shot.face_px
    moved = shot.frames.copy()
    for k in range(len(moved)):
        if k != source:
            smooth = cv2.GaussianBlur(dis(shot.frames[k], shot.frames[source]), (0, 0), sigma)
            moved[k] = warp_back(shot.frames[source], np.asarray(smooth, np.float32))
    painted = paint(moved, rng) if rng.random() < 0.6 else moved
    if rng.random() < 0.3:  # the whole picture, as tools do that crop to the head
        return painted
    return _inside(painted, shot, rng)


def _inside(painted: Frames, shot: Shot, rng: Rng) -> Frames:
    """``painted`` within a face's mask, the shot's own frames around it."""
    return _pasted(painted, shot.frames, draw_mask(rng, "face"), face_frames(shot.landmarks))


def _pasted(inner: Frames, outer: Frames, mask: Mask, faces: list[Matrix]) -> Frames:
    placed = [place_mask(mask, face, outer.shape[1]) for face in faces]
    return np.stack([mix(i, o, m) for i, o, m in zip(inner, outer, placed, strict=True)])


def grain(frames: Frames, sigma: float, rng: Rng) -> Frames:
    """A sensor's noise, anew in every frame; gray, as it mostly is after demosaicing and denoising."""
    noise = rng.standard_normal((*frames.shape[:3], 1), np.float32) * np.float32(sigma)
    return np.clip(np.rint(frames + noise), 0, 255).astype(np.uint8)


_MOUTH = draw_mask(np.random.default_rng(7), "mouth")
_MOUTH /= _MOUTH.max()
