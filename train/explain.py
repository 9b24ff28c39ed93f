"""Where the network looks: patches of a face are hidden in turn, and the change of P(fake) is drawn over the picture.

Occlusion saliency (Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014). It needs the model's
answers only, so that the very file that is shipped is looked into, and it hides the patch in both crops of a pair,
before flow and fusion, so that motion counts too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.errors import DataError
from stream.flows import flow_function
from stream.fusion import fuse
from stream.pipeline import PairScore
from stream.records import Image, Pair
from stream.scoring import OwnFlow, PairScorer
from stream.sources import read_file

from .evaluate import write_json
from .manifest import Clip
from .report.scoring import PLAIN, Setting, look_at_all, record, steps_of
from .store import write_atomically

Saliency = NDArray[np.float32]
"""(G, G): by how much P(fake) falls when this patch of the face is hidden; negative where it rises."""

TILE = 168  # pixels; side of one picture on the sheet


@dataclass(frozen=True, slots=True)
class Shown:
    """One clip on the sheet: a pair of it, the network's input for that pair, what it says, and where it looks."""

    clip: Clip
    pair: Pair
    image: Image
    p_fake: float
    saliency: Saliency

    @property
    def wrong_by(self) -> float:
        """How far P(fake) is from the truth, in [0, 1]."""
        return 1 - self.p_fake if self.clip.fake else self.p_fake


def hide(crop: Image, row: int, column: int, grid: int) -> Image:
    """A crop, (S, S, 3), with one of grid x grid patches replaced by what a strong blur leaves of it."""
    size = crop.shape[0]
    # A little larger than its share: a patch's edge should not be what is left to see.
    reach = size / grid * 0.75
    centre = ((column + 0.5) * size / grid, (row + 0.5) * size / grid)
    x0, y0 = (max(0, round(c - reach)) for c in centre)
    x1, y1 = (min(size, round(c + reach)) for c in centre)
    hidden = crop.copy()
    hidden[y0:y1, x0:x1] = cv2.GaussianBlur(crop, (0, 0), size / 10)[y0:y1, x0:x1]
    return hidden


def occlusion(pair: Pair, score: Callable[[], PairScore], grid: int = 8) -> tuple[float, Saliency]:
    """P(fake) of a pair, and by how much it falls when each of grid x grid patches is hidden, (grid, grid).

    score: makes a fresh scorer, since one with a memory must not remember the patches before.
    """
    hidden = [
        replace(pair, first=hide(pair.first, row, column, grid), second=hide(pair.second, row, column, grid))
        for row in range(grid)
        for column in range(grid)
    ]
    p_fake = float(score()([pair])[0])
    # Each a track of its own: for a network with a memory, each is then a face seen for the first time.
    without = [replace(h, track=number) for number, h in enumerate(hidden)]
    told = np.concatenate([score()(without[start : start + 16]) for start in range(0, len(without), 16)])
    return p_fake, np.asarray(p_fake - told, np.float32).reshape(grid, grid)


def heat(crop: Image, saliency: Saliency, scale: float) -> Image:
    """A crop with its saliency over it: red speaks for FAKE, blue for REAL; ``scale`` is the change shown in full."""
    size = crop.shape[0]
    amount = cv2.resize(saliency / max(scale, 1e-6), (size, size), interpolation=cv2.INTER_CUBIC).clip(-1, 1)
    gray = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR).astype(np.float32)
    colour = np.where(amount[..., None] > 0, (40.0, 40.0, 235.0), (235.0, 90.0, 30.0))
    weight = 0.75 * np.abs(amount)[..., None]
    return np.asarray(np.rint(gray * (1 - weight) + colour * weight), np.uint8)


def sheet(shown: Sequence[Shown]) -> Image:
    """One row for each clip: the second crop, what the network sees, and where it looks; the most wrong come first.

    Raises:
        DataError: there is nothing to show.
    """
    if not shown:
        raise DataError("no clip could be scored, so there is nothing to show: give clips with a visible face")
    rows = []
    for one in sorted(shown, key=lambda s: -s.wrong_by):
        scale = float(np.abs(one.saliency).max())
        tiles = [one.pair.second, one.image[..., 2::-1], heat(one.pair.second, one.saliency, scale)]
        words = [
            f"{one.clip.label}: {'WRONG' if one.wrong_by > 0.5 else 'right'}",
            f"P(fake) {one.p_fake:.3f}",
            f"red/blue: {scale:+.3f}",
            *(text[-26:] for text in (one.clip.method, one.clip.name) if text),
        ]
        text = np.full((TILE, 2 * TILE, 3), 255, np.uint8)
        for line, word in enumerate(words):
            cv2.putText(text, word, (8, 24 + 22 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (30, 30, 30), 1, cv2.LINE_AA)
        resized = [np.asarray(cv2.resize(t, (TILE, TILE), interpolation=cv2.INTER_AREA), np.uint8) for t in tiles]
        rows.append(np.hstack([*resized, text]))
    return np.vstack(rows)


def average_sheet(shown: Sequence[Shown]) -> Image:
    """Mean saliency of four kinds of clips (fake and real, right and wrong), each over its mean face, side by side."""
    tiles = []
    for label in ("fake", "real"):
        for wrong in (False, True):
            some = [s for s in shown if s.clip.label == label and (s.wrong_by > 0.5) == wrong]
            tile = np.full((TILE, TILE, 3), 255, np.uint8)
            if some:
                crops = [cv2.resize(s.pair.second, (TILE, TILE)).astype(np.float32) for s in some]
                mean = np.asarray(np.mean([s.saliency for s in some], axis=0), np.float32)
                face = np.asarray(np.rint(np.mean(crops, axis=0)), np.uint8)
                tile = heat(face, mean, float(np.abs(mean).max()))
            words = f"{label}, {'wrong' if wrong else 'right'}: {len(some)}"
            head = np.full((26, TILE, 3), 255, np.uint8)
            cv2.putText(head, words, (4, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (30, 30, 30), 1, cv2.LINE_AA)
            tiles.append(np.vstack([head, tile]))
    return np.hstack(tiles)


def pick(wrong_by: Sequence[float], fake: Sequence[bool], count: int) -> list[int]:
    """Which clips to show: of each class the most wrong and the most right, about ``count`` in all, in order."""
    chosen = set[int]()
    for label in (False, True):
        ranked = sorted((i for i, f in enumerate(fake) if f == label), key=lambda i: wrong_by[i])
        share = max(1, count // 4)
        chosen |= set(ranked[:share]) | set(ranked[-share:])
    return sorted(chosen)


def show(clip: Clip, setting: Setting, grid: int = 8) -> Shown | None:
    """Look into one clip, at the pair whose P(fake) is nearest the clip's mean; None where no face is scored.

    Raises:
        SourceError: the clip cannot be read. ModelError: the model cannot be run.
    """
    model = setting.open()
    contract = model.contract
    steps = steps_of(read_file(clip.path), setting.faces(), PairScorer(model, contract), contract, setting.rate_hz)
    scores = record(clip, steps)
    if not len(scores.p_fake):
        return None
    told = [(pair, float(p)) for step in steps for pair, p in zip(step.pairs, step.scores, strict=True)]
    pair, p_fake = min(told, key=lambda one: (one[0].pts_s not in scores.times_s, abs(one[1] - scores.mean)))
    _, saliency = occlusion(pair, lambda: PairScorer(model, contract), grid)
    flow = model.flow if isinstance(model, OwnFlow) else flow_function(contract)
    return Shown(clip, pair, fuse(pair, contract, flow), p_fake, saliency)


def explain(
    clips: Sequence[Clip],
    setting: Setting,
    folder: Path,
    count: int = 16,
    workers: int = 1,
    on_clip: Callable[[str], None] = lambda what: None,
) -> list[Shown]:
    """Score clips, look into about ``count`` of them, and write ``clips.png``, ``means.png`` and ``saliency.json``.

    Raises:
        DataError: nothing to show. ModelError: the model. OutputError: ``folder`` cannot be written.
    """
    looks = look_at_all([(clip, (PLAIN,)) for clip in clips], setting, workers, lambda _: on_clip("scored"))
    told = [look.scores for look in looks if len(look.scores.p_fake)]
    wrong_by = [1 - s.mean if s.clip.fake else s.mean for s in told]
    shown = []
    for i in pick(wrong_by, [s.clip.fake for s in told], count):
        one = show(told[i].clip, setting)
        on_clip("looked into")
        if one is not None:
            shown.append(one)
    write_png(sheet(shown), folder / "clips.png")
    write_png(average_sheet(shown), folder / "means.png")
    rows = [
        {"clip": s.clip.name, "label": s.clip.label, "p_fake": s.p_fake, "saliency": s.saliency.round(4).tolist()}
        for s in shown
    ]
    write_json({"clips": rows}, folder / "saliency.json")
    return shown


def write_png(image: Image, out: Path) -> None:
    """Write a picture. Raises OutputError where it cannot be written."""
    packed = cv2.imencode(".png", image)[1]
    write_atomically(out, lambda file: file.write(packed.tobytes()))
