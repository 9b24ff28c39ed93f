"""A published data set's folder -> one manifest, and its parts: the published split, by identity, or the notebooks'.

The notebooks split videos at random, so that a person trained on is tested on too: those two are here to
reproduce their figures, and say aloud that they leak.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from stream.errors import DataError, OutputError, UsageError

from .layouts import Compression, Found, Layout, read_layout
from .manifest import COLUMNS, Clip, check_both, write_manifest
from .parts import LEAKS
from .split import SHARES, shared_people, split

SplitName = Literal["published", "identity", "notebook-480", "notebook-interleaved"]
NOTEBOOK_VIDEOS = 480


@dataclass(frozen=True, slots=True)
class Parts:
    """The clips of train, valid and test, what has to be said about them, and how they leak where they do."""

    clips: dict[str, list[Clip]]
    warnings: tuple[str, ...] = ()
    leaks: str = ""


def make_manifest(
    root: Path,
    out: Path,
    layout: Layout | Literal["auto"] = "auto",
    compression: Compression = "c23",
    split_by: SplitName | None = None,
    seed: int = 0,
) -> tuple[Found, Parts | None]:
    """Write the manifest of a data set's folder, and with ``split_by`` one more for each part, in a folder beside it.

    That folder is what ``train fit --split`` takes; the whole manifest then names each part in a column ``split``.

    Raises:
        UsageError: unknown names. DataError: a folder of another shape, or a part without either class.
        OutputError: OUT cannot be written.
    """
    if split_by is not None and split_by not in get_args(SplitName):
        raise UsageError(f"unknown split {split_by!r}: choose one of {', '.join(get_args(SplitName))}")
    found = read_layout(root, layout, compression)
    check_both(found.clips, str(root))
    parts = None if split_by is None else part_clips(found, split_by, seed)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(found.clips, parts, out)
        if parts is not None:
            _write_parts(parts, parts_folder(out))
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror}") from error
    return found, parts


def parts_folder(out: Path) -> Path:
    """Where the manifests of the parts lie: OUT/train.csv, valid.csv and test.csv beside OUT.csv."""
    if not out.suffix:
        raise UsageError(f"{out} needs a name that ends in .csv: the folder for its parts is called without")
    return out.with_suffix("")


def _write_parts(parts: Parts, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, clips in parts.clips.items():
        write_manifest(clips, folder / f"{name}.csv")
    leaks = folder / LEAKS
    if parts.leaks:
        leaks.write_text(parts.leaks + "\n", encoding="utf-8")
    else:
        leaks.unlink(missing_ok=True)


def _write_whole(clips: Sequence[Clip], parts: Parts | None, out: Path) -> None:
    write_manifest(clips, out)
    if parts is None:
        return
    part_of = {clip.name: name for name, inside in parts.clips.items() for clip in inside}
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, "split"])
        writer.writerows([*row, part_of.get(clip.name, "")] for row, clip in zip(rows, clips, strict=True))


def part_clips(found: Found, by: SplitName, seed: int = 0) -> Parts:
    """Deal the clips of a data set into train, valid and test.

    Raises:
        DataError: no published split lies beside, or a part would lack a class.
    """
    match by:
        case "published":
            parts = _published(found, seed)
        case "identity":
            parts = _by_identity(found.clips, dict(SHARES), seed)
        case "notebook-480":
            parts = notebook_480(found.clips, seed)
        case "notebook-interleaved":
            parts = notebook_interleaved(found.clips, seed)
    for name, clips in parts.clips.items():
        check_both(clips, f"the part '{name}' of the {by} split")
    leaks = _leaks(parts, by)
    return Parts(parts.clips, (*parts.warnings, leaks) if leaks else parts.warnings, leaks)


def _leaks(parts: Parts, by: str) -> str:
    """Say how many people two parts share."""
    people = {name: {i for c in clips for i in (c.identities or (c.name,))} for name, clips in parts.clips.items()}
    seen = people["train"] | people["valid"]
    shared = people["test"] & seen
    if not shared and not shared_people(parts.clips["train"], parts.clips["valid"]):
        return ""
    return (
        f"the {by} split leaks identities: {len(shared)} of the {len(people['test'])} people that it tests on are also "
        "trained on or validated with, so its scores are too good to be true; use --split identity for scores to trust"
    )


def _by_identity(clips: Sequence[Clip], shares: dict[str, float], seed: int) -> Parts:
    try:
        return Parts(split(clips, shares, seed).parts)
    except DataError:
        # Everyone was swapped with everyone (Celeb-DF): only without the fakes between two parts can people be parted.
        made = split(clips, shares, seed, drop_crossing=True)
    left = len(made.crossing)
    return Parts(made.parts, (f"{left} fakes join people of two parts and are left out of the split by identity",))


def _published(found: Found, seed: int) -> Parts:
    named = {part for part in found.published.values() if part}
    if "test" not in named:
        looked = {
            "ff++": "train.json, val.json and test.json in the folder, its splits/ or dataset/splits/",
            "celeb-df": "List_of_testing_videos.txt",
            "dfdc": "a split 'test' in metadata.json",
            "deeper": "train.txt, val.txt and test.txt in lists/splits/",
            "folders": "folders train/, valid/ and test/",
        }[found.layout]
        raise DataError(f"no published split lies beside the videos: looked for {looked}; or use --split identity")
    clips: dict[str, list[Clip]] = {"train": [], "valid": [], "test": []}
    for clip in found.clips:
        # Celeb-DF publishes no more than a list of test videos: all others are to train on.
        if part := found.published.get(clip.name, "") or ("" if "train" in named else "train"):
            clips[part].append(clip)
    if clips["valid"]:
        return Parts(clips)
    rest = _by_identity(clips["train"], {"train": SHARES["train"], "valid": SHARES["valid"]}, seed)
    said = "no validation videos are published: taken by identity from those to train on"
    return Parts({**rest.clips, "test": clips["test"]}, (said, *rest.warnings))


def _shuffled(clips: Sequence[Clip], label: str, rng: np.random.Generator) -> list[Clip]:
    mine = [clip for clip in clips if clip.label == label]
    return [mine[i] for i in rng.permutation(len(mine))]


def notebook_480(clips: Sequence[Clip], seed: int = 0) -> Parts:
    """The first notebook's split: 480 real and 480 fake videos at random, each class cut at 70 and 90 percent."""
    rng = np.random.default_rng(seed)
    classes = [_shuffled(clips, label, rng) for label in ("real", "fake")]
    count = min(NOTEBOOK_VIDEOS, *map(len, classes))
    parts: dict[str, list[Clip]] = {"train": [], "valid": [], "test": []}
    for mine in classes:
        for name, inside in _cut(mine[:count], 0.7, 0.9).items():
            parts[name] += inside
    few = f"the notebook took {NOTEBOOK_VIDEOS} videos of each class; here there are enough for {count}"
    return Parts(parts, (few,) if count < NOTEBOOK_VIDEOS else ())


def notebook_interleaved(clips: Sequence[Clip], seed: int = 0) -> Parts:
    """The second notebook's split: real and fake videos in turn, as many of each, the row cut at 80 and 90 percent."""
    rng = np.random.default_rng(seed)
    reals, fakes = (_shuffled(clips, label, rng) for label in ("real", "fake"))
    row = [clip for both in zip(reals, fakes, strict=False) for clip in both]
    return Parts(_cut(row, 0.8, 0.9))


def _cut(clips: Sequence[Clip], first: float, second: float) -> dict[str, list[Clip]]:
    a, b = round(len(clips) * first), round(len(clips) * second)
    return {"train": list(clips[:a]), "valid": list(clips[a:b]), "test": list(clips[b:])}
