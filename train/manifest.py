"""A manifest CSV, or folders real/ and fake/ -> frozen Clip records; every mistake is one clear error at once."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from stream.errors import DataError

Label = Literal["real", "fake"]
COLUMNS = ("path", "label", "method", "identity", "pair")
SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"})


@dataclass(frozen=True, slots=True)
class Clip:
    """One recorded video.

    ``name`` is its path as the manifest gives it (POSIX, unique within the manifest) and ``path`` where it lies;
    ``identities`` every person whose face it shows (a swap AAA_BBB belongs to both); clips that share a non-empty
    ``pair`` are the panels of one video, the original and its fake.
    """

    name: str
    path: Path
    label: Label
    method: str = ""
    identities: tuple[str, ...] = ()
    pair: str = ""

    @property
    def fake(self) -> bool:
        return self.label == "fake"


def read_manifest(source: Path, *, only: str = "", need_both: bool = True, need_files: bool = True) -> list[Clip]:
    """The clips of a CSV file (columns path,label,method,identity,pair; others are ignored) or of real/ and fake/.

    Paths are relative to the CSV's folder. Several identities of one clip are separated by ``|`` or ``;``. A clip
    without an identity is its own; in folders the identity is the file's name without suffix. ``only`` takes the
    clips alone whose path in the manifest starts with it.

    ``need_files``: the videos themselves must be there; a store's parts can be told without them.

    Raises:
        DataError: no such manifest, columns or files missing, unknown labels, no clips (with ``need_both``:
            of either class), or a path given twice.
    """
    if source.is_dir():
        clips = _from_folders(source)
    elif source.is_file():
        clips = _from_csv(source, need_files)
    else:
        raise DataError(f"no manifest {source}: give a CSV file or a folder with real/ and fake/")
    clips = [clip for clip in clips if clip.name.startswith(only)]
    if not clips:
        there = f" below {only}" if only else ""
        raise DataError(f"{source} lists no clips{there}: give at least one real and one fake")
    if need_both:
        check_both(clips, str(source))
    return clips


def check_both(clips: Sequence[Clip], what: str) -> None:
    """Raise DataError unless ``clips`` holds both classes."""
    if not clips:
        raise DataError(f"{what} holds no clips: give at least one real and one fake")
    for label in get_args(Label):
        if not any(clip.label == label for clip in clips):
            raise DataError(f"{what} holds no {label} clips: both classes are needed")


def write_manifest(clips: Iterable[Clip], out: Path) -> None:
    """Write clips as a CSV that ``read_manifest`` reads from anywhere (absolute paths unless they lie beneath it)."""
    root = out.parent.resolve()
    with out.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for clip in clips:
            path = clip.path.resolve()
            shown = path.relative_to(root) if path.is_relative_to(root) else path
            rows.writerow([shown.as_posix(), clip.label, clip.method, "|".join(clip.identities), clip.pair])


def _from_csv(source: Path, need_files: bool) -> list[Clip]:
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if missing := [c for c in COLUMNS if c not in (reader.fieldnames or ())]:
                raise DataError(f"{source} lacks the columns {', '.join(missing)}: it needs {','.join(COLUMNS)}")
            clips = [_row(source, number, row) for number, row in enumerate(reader, 2)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{source} is not a CSV file in UTF-8") from error
    names = [clip.name for clip in clips]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{source} lists {twice} twice: each clip once")
    absent = [clip.name for clip in clips if need_files and not clip.path.is_file()]
    if absent:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise DataError(f"{source} lists files that are not there: {absent[0]}{more}; paths start at {source.parent}")
    return clips


def _row(source: Path, number: int, row: dict[str, str | None]) -> Clip:
    # A row shorter than the header gives None for what it lacks.
    path, label, method, identity, pair = ((row[c] or "").strip() for c in COLUMNS)
    if not path:
        raise DataError(f"{source} line {number} has no path")
    known: Label | None = next((k for k in get_args(Label) if k == label), None)
    if known is None:
        raise DataError(f"{source} line {number} has the label {label!r}: it must be real or fake")
    identities = tuple(dict.fromkeys(i.strip() for i in identity.replace(";", "|").split("|") if i.strip()))
    name = Path(path).as_posix()
    return Clip(name, source.parent / path, known, method, identities or (name,), pair)


def _from_folders(source: Path) -> list[Clip]:
    clips = []
    for label in get_args(Label):
        folder = source / label
        if not folder.is_dir():
            found = ", ".join(sorted(p.name for p in source.iterdir())[:8]) or "nothing"
            raise DataError(f"{source} has no folder {label}/: found {found}")
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in SUFFIXES:
                inside = path.relative_to(folder)
                method = inside.parts[0] if len(inside.parts) > 1 and label == "fake" else ""
                clips.append(Clip(path.relative_to(source).as_posix(), path, label, method, (path.stem,)))
    return clips
