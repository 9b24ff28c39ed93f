"""``flowtell bench switch``: clips spliced real, fake, real as one stream; how soon the indicator turns, and back.

The clips play whole and unscaled on one black canvas, with one running clock: a splice is a cut as a viewer
sees it. Without any splice, the same figures tell how often the indicator turns for no reason.
"""

from __future__ import annotations

import csv
import random
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from stream.errors import DataError, UsageError
from stream.faces import FaceDetector, find_faces
from stream.model import Model
from stream.pictures import ArrayPicture
from stream.pipeline import judge
from stream.records import Frame, State, Verdict
from stream.scoring import Scorer
from stream.sources import read_file

from .runs import Figures, machine, report, table

Shown = tuple[float, State | None]
"""When, and what the indicator of the largest face said; None where no face was told."""

FaceMaker = Callable[[], FaceDetector]


def switch(
    manifest: Path,
    *,
    model: Path | None = None,
    face_model: Path | None = None,
    splices: int = 12,
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """Measure how soon the indicator turns when the video does.

    Parameters
    ----------
    manifest
        A CSV of clips with the columns path and label (real or fake); paths are relative to it.
    model
        An exported model; the bundled one by default.
    face_model
        YuNet's file; Haar by default.
    splices
        Streams of three clips (real, fake, real) that are drawn; their clips are also judged unspliced.
    seed
        Of the drawing.
    out
        Write the JSON there instead of printing it.
    """
    if splices < 1:
        raise UsageError("--splices must be at least 1")
    real, fake = read_clips(manifest)
    scorer = Model(model)
    drawn = draw(real, fake, splices, random.Random(seed))
    figures = measure(drawn, scorer, lambda: find_faces(face_model))
    table(
        f"Seconds until the indicator turns, {splices} streams of real, fake, real",
        ["", "median s", "turned", "of"],
        [[name, f["median_s"], f["turned"], splices] for name, f in figures["turns"].items()],
    )
    table(
        "Unspliced clips",
        ["", "minutes", "flips", "flips a minute"],
        [[name, f["minutes"], f["flips"], f["flips_per_minute"]] for name, f in figures["unspliced"].items()],
    )
    report({"manifest": manifest.name, "splices": splices, "machine": machine(), **figures}, out)


def measure(drawn: Sequence[Sequence[Path]], model: Scorer, faces: FaceMaker) -> Figures:
    """The figures of some spliced streams, and of their clips without a splice.

    drawn: three clips (real, fake, real) each. faces: makes a fresh face finder for each stream.
    """
    turns: dict[str, list[float | None]] = {"real to fake": [], "fake to real": []}
    for clips in drawn:
        frames, starts_s = spliced(clips)
        shown = indicator(frames, model, faces())
        turns["real to fake"].append(turn_s(shown, starts_s[1], starts_s[2], State.FAKE))
        turns["fake to real"].append(turn_s(shown, starts_s[2], None, State.REAL))
    unspliced = {}
    for name, places in {"real": (0, 2), "fake": (1,)}.items():
        seen = [indicator(read_file(clip), model, faces()) for clip in sorted({c[k] for c in drawn for k in places})]
        minutes = sum(shown[-1][0] for shown in seen if shown) / 60
        count = sum(flips(shown) for shown in seen)
        per_minute = round(count / minutes, 3) if minutes else None
        unspliced[name] = {"minutes": round(minutes, 2), "flips": count, "flips_per_minute": per_minute}
    return {"turns": {name: _summary(values) for name, values in turns.items()}, "unspliced": unspliced}


def read_clips(manifest: Path) -> tuple[list[Path], list[Path]]:
    """The real and the fake clips of a CSV. Raises DataError where it is not one, or lacks a class or a file."""
    try:
        with manifest.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{manifest} cannot be read: give a CSV file with the columns path and label") from error
    clips: dict[str | None, list[Path]] = {"real": [], "fake": []}
    for row in rows:
        if not row.get("path") or row.get("label") not in clips:
            raise DataError(f"{manifest} needs the columns path and label, and real or fake in each row's label")
        clips[row["label"]].append(manifest.parent / row["path"])
    if not (clips["real"] and clips["fake"]):
        raise DataError(f"{manifest} needs at least one real and one fake clip")
    if missing := [clip for clip in (*clips["real"], *clips["fake"]) if not clip.is_file()]:
        raise DataError(f"{manifest} names {len(missing)} files that are not there, {missing[0]} first")
    return clips["real"], clips["fake"]


def draw(real: Sequence[Path], fake: Sequence[Path], count: int, chance: random.Random) -> list[list[Path]]:
    """``count`` times three clips: real, fake, real."""
    return [[chance.choice(real), chance.choice(fake), chance.choice(real)] for _ in range(count)]


def spliced(clips: Sequence[Path]) -> tuple[Iterator[Frame], list[float]]:
    """Several files as the frames of one stream, and when each begins in it, in seconds.

    The second value is complete once the frames have been read.
    """
    starts_s: list[float] = []
    return _splice([read_file(clip) for clip in clips], _canvas(clips), starts_s), starts_s


def _canvas(clips: Sequence[Path]) -> tuple[int, int]:
    sizes = [(first.picture.height, first.picture.width) for first in (next(read_file(clip)) for clip in clips)]
    return max(h for h, _ in sizes), max(w for _, w in sizes)


def _splice(parts: Sequence[Iterable[Frame]], canvas: tuple[int, int], starts_s: list[float]) -> Iterator[Frame]:
    index, now_s, step_s = 0, 0.0, 0.04
    for part in parts:
        before_s: float | None = None
        for frame in part:
            step_s = step_s if before_s is None else frame.pts_s - before_s
            before_s = frame.pts_s
            now_s += step_s if index else 0.0
            if frame.index == 0:
                starts_s.append(now_s)
            bgr = frame.picture.bgr()
            whole = np.zeros((*canvas, 3), np.uint8)
            top, left = (canvas[0] - bgr.shape[0]) // 2, (canvas[1] - bgr.shape[1]) // 2
            whole[top : top + bgr.shape[0], left : left + bgr.shape[1]] = bgr
            yield Frame(index, now_s, ArrayPicture(whole))
            index += 1


def indicator(frames: Iterable[Frame], model: Scorer, faces: FaceDetector) -> list[Shown]:
    """What the indicator of the largest face says at each frame."""
    return [(frame.pts_s, _largest(verdicts)) for frame, verdicts in judge(frames, model, faces)]


def _largest(verdicts: Sequence[Verdict]) -> State | None:
    return max(verdicts, key=lambda v: v.box.w).state if verdicts else None


def turn_s(shown: Sequence[Shown], since_s: float, until_s: float | None, to: State) -> float | None:
    """Seconds from ``since_s`` until the indicator says ``to``, or None if it does not before ``until_s``."""
    for pts_s, state in shown:
        if pts_s >= since_s and state is to and (until_s is None or pts_s < until_s):
            return pts_s - since_s
    return None


def flips(shown: Sequence[Shown]) -> int:
    """How often REAL follows FAKE or FAKE follows REAL, whatever is said in between."""
    decided = [state for _, state in shown if state in (State.REAL, State.FAKE)]
    return sum(a is not b for a, b in pairwise(decided))


def _summary(values: Sequence[float | None]) -> Figures:
    """The median counts a stream that never turned as one that takes for ever; None where most do."""
    median = statistics.median(float("inf") if v is None else v for v in values)
    return {
        "median_s": round(median, 2) if np.isfinite(median) else None,
        "turned": sum(v is not None for v in values),
        "each_s": [None if v is None else round(v, 2) for v in values],
    }
