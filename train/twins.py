"""Batches of real faces and their pseudo-fakes, made while the network trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.contract import Contract
from stream.errors import DataError
from stream.fusion import fuse
from stream.pairing import cut
from stream.pictures import ArrayPicture
from stream.records import Box, Pair

from .bank import Bank, Moment, is_original
from .degrade import Degrade
from .pseudo import Frames, Paint, Shot, animate, grain, lips, reenact, repaint, self_blend, swap, texture

METHODS = ("self_blend", "swap", "repaint", "lips", "reenact")
_GAPS = np.array([0.65, 0.25, 0.1])  # shares of pairs one, two and three frames apart


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares: stills among sources (not of "reenact"), deepfakes among fakes, degraded twins, each of ``METHODS``.

    decoded: of what a pseudo-fake's generator paints, what a trained decoder paints where there is one. Some are not
    painted at all (a self-blend of another tone, a face that is moved alone), so that it is less than that of all.

    Raises:
        ValueError: a share is none, or those of the methods do not add up to 1.
    """

    stills: float = 0.35
    deepfakes: float = 0.15
    degraded: float = 0.6
    decoded: float = 0.5
    methods: tuple[float, ...] = (0.26, 0.33, 0.13, 0.13, 0.15)

    def __post_init__(self) -> None:
        shares = (self.stills, self.deepfakes, self.degraded, self.decoded, *self.methods)
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError(f"shares lie between 0 and 1, not {shares}")
        if len(self.methods) != len(METHODS) or abs(sum(self.methods) - 1) > 1e-6:
            raise ValueError(f"methods gives the shares of {', '.join(METHODS)}, which add up to 1, not {self.methods}")


class Synthetic:
    """Twins: one source as it is and made fake, degraded alike; deterministic by (seed, index).

    keep: the moments that may be used, None for all; held-out people never occur, not as donors either.
    decode: the bank's own decoders, if it has some.

    Raises:
        DataError: there is no real clip or no photograph among them.
    """

    def __init__(
        self,
        bank: Bank,
        contract: Contract,
        mix: Mix,
        seed: int,
        keep: Sequence[Moment] | None = None,
        decode: Paint | None = None,
    ) -> None:
        self._decode = decode
        self._bank, self._contract, self._mix, self._seed = bank, contract, mix, seed
        moments = list(bank.moments if keep is None else keep)
        self._stills = [m for m in moments if m.source.still]
        self._clips = _by_clip([m for m in moments if not m.source.still and m.source.label == "real"])
        self._fakes = _by_clip([m for m in moments if m.source.label == "fake"])
        if not self._clips:
            raise DataError("the face bank holds no real clip for this part: gather more people")

    @property
    def made_of(self) -> str:
        """One line on the sources: how many clips, people, photographs and deepfakes."""
        people = {name for c in self._clips for name in c[0].source.identity.split("|")}
        more: list[tuple[float, Sequence[object], str]] = [
            (self._mix.stills, self._stills, "photographs"),
            (self._mix.deepfakes, self._fakes, "deepfakes"),
        ]
        made_of = f"twins of {len(self._clips)} real clips ({len(people)} people)" + "".join(
            f", {len(sources)} {kind}" for share, sources, kind in more if share and sources
        )
        return made_of + ("; decoders painted too" if self._decode and self._mix.decoded else "")

    def twins(self, index: int, method: str | None = None) -> tuple[NDArray[np.uint8], str]:
        """(2, S, S, C) uint8 network inputs, altered first, then original; and how the altered one was made."""
        images, _, made_by = self.located(index, method)
        return images, made_by

    def located(self, index: int, method: str | None = None) -> tuple[NDArray[np.uint8], NDArray[np.uint8], str]:
        """``twins``, and between its two values where they differ: (S, S), gray levels between the crops.

        Between the newer ones for a network that sees these alone, else the larger difference of the two moments.
        """
        rng = np.random.default_rng((self._seed, index))
        fake, real, face_px, made_by = self._make(rng, method)
        degrade, spoil = Degrade.draw(rng), rng.random() < self._mix.degraded
        flip, jitter = rng.random() < 0.5, _jitter(rng)
        order = (1, 0) if rng.random() < 0.2 else (0, 1)
        images, both = [], []
        for frames in (fake, real):
            spoiled = degrade(frames) if spoil else frames
            side = spoiled.shape[1]
            box = _moved(Box.square(side / 2, side / 2, face_px * (side / frames.shape[1])), jitter)
            crops = [cut(ArrayPicture(spoiled[k]), box, self._contract.margin, self._contract.size) for k in order]
            if flip:
                crops = [np.ascontiguousarray(c[:, ::-1]) for c in crops]
            pair = Pair(0, 0.0, self._contract.gap_s, crops[0], crops[1], Box(0, 0, face_px, face_px), face_px)
            images.append(fuse(pair, self._contract))
            both.append(np.stack(crops[-1:] if self._contract.input == "rgb" else crops))
        difference = cv2.absdiff(both[0], both[1]).mean(axis=3).max(axis=0)
        return np.stack(images), np.rint(difference).astype(np.uint8), made_by

    def _make(self, rng: np.random.Generator, method: str | None) -> tuple[Frames, Frames, float, str]:
        if method == "deepfake" or (method is None and self._fakes and rng.random() < self._mix.deepfakes):
            return self._deepfake(rng)
        made_by = method or str(rng.choice(METHODS, p=self._mix.methods))
        # A still knows no true motion that a generator could fall short of.
        still = bool(self._stills) and made_by != "reenact" and rng.random() < self._mix.stills
        clip = self._clips[rng.integers(len(self._clips))]
        moment = self._stills[rng.integers(len(self._stills))] if still else clip[rng.integers(len(clip))]
        working = rng.uniform(0.5, 0.85)
        shot = self._shot(moment, rng, working)
        real = shot.frames
        decode = self._decode if self._decode and rng.random() < self._mix.decoded else None
        paint = decode or texture
        if made_by == "self_blend":
            fake, real = self_blend(shot, rng, paint)
        elif made_by == "swap":
            fake = swap(shot, self._donor(rng), rng, decode)
        elif made_by == "lips":
            fake = lips(
                shot,
                self._shot(clip[rng.integers(len(clip))], rng, working) if not still else animate(shot, rng, 4.0),
                rng,
                decode,
            )
        elif made_by == "reenact":
            fake = reenact(shot, rng, paint)
        else:
            fake = repaint(shot, rng, paint)
        return fake, real, shot.face_px, made_by

    def _deepfake(self, rng: np.random.Generator) -> tuple[Frames, Frames, float, str]:
        clip = self._fakes[rng.integers(len(self._fakes))]
        k = int(rng.integers(len(clip)))
        own = next((c for c in self._clips if is_original(c[0].source, clip[0].source)), None)
        partner = own or self._clips[rng.integers(len(self._clips))]
        # The same moment and gap of both: a live swap and its original then differ in the face alone.
        seed = int(rng.integers(2**31))
        fake, real = (
            self._shot(moments[min(k, len(moments) - 1)], np.random.default_rng(seed), 1.0)
            for moments in (clip, partner)
        )
        # Matched size: what differs between sources in resolution must not tell the label.
        face_px = min(fake.face_px, real.face_px) * rng.uniform(0.6, 1.0)
        fake, real = fake.resized(face_px / fake.face_px), real.resized(face_px / real.face_px)
        side = min(fake.frames.shape[1], real.frames.shape[1])
        frames = [
            s.frames[:, (s.frames.shape[1] - side) // 2 :, (s.frames.shape[1] - side) // 2 :][:, :side, :side]
            for s in (fake, real)
        ]
        return frames[0], frames[1], face_px, "deepfake"

    def _shot(self, moment: Moment, rng: np.random.Generator, working: float) -> Shot:
        regions, landmarks = self._bank.regions(moment), np.asarray(moment.landmarks, np.float32)
        if moment.frames > 1:
            # One frame apart mostly, two and three now and then, but never further than live pairs are.
            widest = max(1, min(moment.frames - 1, int(self._contract.gap_max_s / max(moment.gap_s, 1e-3) + 1e-6)))
            at = [0, 1 + int(rng.choice(widest, p=_GAPS[:widest] / _GAPS[:widest].sum()))]
            shot = Shot(regions[at], landmarks[at], moment.face_px)
        else:
            shot = Shot(np.asarray(regions), landmarks, moment.face_px)
        shot = shot.resized(working) if working < 0.97 else shot
        if moment.frames > 1:
            return shot
        alive = animate(shot, rng)
        # Smooth motion of one and the same texture is what generators make: a camera's pictures differ in their noise.
        return replace(alive, frames=grain(alive.frames, float(rng.uniform(0.5, 3.0)), rng))

    def _donor(self, rng: np.random.Generator) -> Shot:
        if self._stills and rng.random() < 0.6:
            return self._shot(self._stills[rng.integers(len(self._stills))], rng, 1.0)
        clip = self._clips[rng.integers(len(self._clips))]
        return self._shot(clip[rng.integers(len(clip))], rng, 1.0)


def _by_clip(moments: Sequence[Moment]) -> list[list[Moment]]:
    clips: dict[str, list[Moment]] = {}
    for moment in moments:
        clips.setdefault(moment.source.path, []).append(moment)
    return list(clips.values())


def _jitter(rng: np.random.Generator) -> NDArray[np.float64]:
    """Offset of the box's centre (x, y) and log of its scale, in shares of the face: a tracker's honest error."""
    return rng.normal(0, (0.035, 0.035, 0.05))


def _moved(box: Box, jitter: NDArray[np.float64]) -> Box:
    cx, cy = box.center
    return Box.square(cx + jitter[0] * box.w, cy + jitter[1] * box.w, box.w * float(np.exp(jitter[2])))
