"""The folders of the published data sets -> clips with label, method, identities and pair, and the published parts.

FaceForensics++ (Roessler and others, 2019), Celeb-DF v2 (Li and others, 2020), DFDC (Dolhansky and others, 2020),
DeeperForensics-1.0 (Jiang and others, 2020), and plain folders ``real`` and ``fake``, also below train, valid, test.
Each reader takes what is there of a partial download, and raises one DataError that names what it looked for
and what it found where nothing can be meant. A clip's ``pair`` is the real video that a fake was made from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from stream.errors import DataError, UsageError

from .manifest import SUFFIXES, Clip, read_manifest

Layout = Literal["ff++", "celeb-df", "dfdc", "deeper", "folders"]
Compression = Literal["raw", "c23", "c40"]
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "FaceShifter", "NeuralTextures")
PARTS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}
"""How the data sets call the parts, and how we do."""
_TARGETS = ("original_sequences/youtube/{c}/videos", "target_videos")
_CELEB = ("Celeb-real", "YouTube-real", "Celeb-synthesis")
_TEST_LIST = "List_of_testing_videos.txt"


@dataclass(frozen=True, slots=True)
class Found:
    """What a folder holds: its clips, the published parts where they lie beside (by clip name), and remarks."""

    layout: Layout
    clips: tuple[Clip, ...]
    published: dict[str, str]
    remarks: tuple[str, ...] = ()


def find_layout(root: Path) -> Layout:
    """Which data set a folder holds. Raises DataError, which names what was looked for and what was found."""
    if not root.is_dir():
        raise DataError(f"no folder {root}: give the folder that the data set was unpacked in")
    if (root / "manipulated_videos").is_dir():
        return "deeper"
    if (root / "original_sequences").is_dir() or (root / "manipulated_sequences").is_dir():
        return "ff++"
    if any((root / name).is_dir() for name in ("Celeb-real", "Celeb-synthesis")):
        return "celeb-df"
    if _metadata_files(root):
        return "dfdc"
    if any((place / "real").is_dir() for place in (root, *(root / part for part in PARTS))):
        return "folders"
    raise DataError(
        f"{root} is no data set that is known here: looked for original_sequences and manipulated_sequences "
        "(FaceForensics++), Celeb-real and Celeb-synthesis (Celeb-DF), metadata.json (DFDC), manipulated_videos "
        f"(DeeperForensics), or real and fake; found {_listing(root)}"
    )


def read_layout(root: Path, layout: Layout | Literal["auto"] = "auto", compression: Compression = "c23") -> Found:
    """The clips of a data set's folder.

    Raises:
        UsageError: an unknown layout or compression. DataError: the folder has another shape, or lacks a class.
    """
    if layout not in ("auto", *get_args(Layout)):
        raise UsageError(f"unknown layout {layout!r}: choose auto, {', '.join(get_args(Layout))}")
    if compression not in get_args(Compression):
        raise UsageError(f"unknown compression {compression!r}: choose one of {', '.join(get_args(Compression))}")
    chosen = find_layout(root) if layout == "auto" else layout
    if not root.is_dir():
        raise DataError(f"no folder {root}: give the folder that the data set was unpacked in")
    match chosen:
        case "ff++":
            return _ff(root, compression)
        case "celeb-df":
            return _celeb(root)
        case "dfdc":
            return _dfdc(root)
        case "deeper":
            return _deeper(root, compression)
        case "folders":
            return _folders(root)


def _listing(folder: Path) -> str:
    names = sorted(p.name + ("/" if p.is_dir() else "") for p in folder.iterdir()) if folder.is_dir() else []
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return (", ".join(names[:8]) + more) if names else "nothing"


def _videos(folder: Path) -> list[Path]:
    """The videos right in a folder, or in its own folder ``videos``, as some copies have it."""
    for place in (folder, folder / "videos"):
        if place.is_dir() and (files := sorted(p for p in place.iterdir() if p.suffix.lower() in SUFFIXES)):
            return files
    return []


def _clip(root: Path, path: Path, fake: bool, method: str, identities: tuple[str, ...], pair: str) -> Clip:
    return Clip(path.relative_to(root).as_posix(), path, "fake" if fake else "real", method, identities, pair)


def _ff(root: Path, compression: str) -> Found:
    originals = root / "original_sequences" / "youtube" / compression / "videos"
    clips = [_clip(root, p, False, "", (p.stem,), p.stem) for p in _videos(originals)]
    for method in METHODS:
        for path in _videos(root / "manipulated_sequences" / method / compression / "videos"):
            clips.append(_clip(root, path, True, method, _two(path, "_"), path.stem.split("_")[0]))
    if not any(c.fake for c in clips) or all(c.fake for c in clips):
        places = [*root.glob("original_sequences/youtube/*/videos"), *root.glob("manipulated_sequences/*/*/videos")]
        counts = {c: sum(len(_videos(p)) for p in places if p.parent.name == c) for c in get_args(Compression)}
        others = [f"{count} videos of {c}" for c, count in counts.items() if count]
        raise DataError(
            f"{root} lacks FaceForensics++ videos of compression {compression}: looked for "
            f"original_sequences/youtube/{compression}/videos/NNN.mp4 and manipulated_sequences/"
            f"<{'|'.join(METHODS)}>/{compression}/videos/AAA_BBB.mp4; found {', '.join(others) or _listing(root)}"
        )
    return Found("ff++", tuple(clips), _ff_parts(root, clips))


def _two(path: Path, between: str) -> tuple[str, ...]:
    """Both people of a swap: the one whose video it is, and the one whose face was put in."""
    target, found, source = path.stem.partition(between)
    if not (target and found and source):
        raise DataError(f"{path} is not named after two people as AAA{between}BBB: take it out of the folder")
    return target, source


def _ff_parts(root: Path, clips: list[Clip]) -> dict[str, str]:
    """The published train.json, val.json and test.json: lists of pairs of ids; each person is in one part."""
    for folder in (root, root / "splits", root / "dataset" / "splits", root.parent / "splits"):
        files = {part: folder / f"{part}.json" for part in ("train", "val", "test")}
        if not all(file.is_file() for file in files.values()):
            continue
        home: dict[str, str] = {}
        for part, file in files.items():
            for row in _json(file, list):
                if not isinstance(row, list) or not all(isinstance(i, str) for i in row):
                    raise DataError(f"{file} is no list of pairs of ids, as FaceForensics++ publishes it")
                home.update(dict.fromkeys(row, PARTS[part]))
        # Both people of a pair are in one part; a fake that joined two would be a leak, and is in none.
        own = {c.name: {home.get(i, "") for i in c.identities} for c in clips}
        return {name: parts.pop() for name, parts in own.items() if len(parts) == 1}
    return {}


def _celeb(root: Path) -> Found:
    folders = {name: _videos(root / name) for name in _CELEB}
    if not folders["Celeb-synthesis"] or not (folders["Celeb-real"] or folders["YouTube-real"]):
        counts = ", ".join(f"{name} ({len(files)} videos)" for name, files in folders.items())
        raise DataError(f"{root} is no Celeb-DF v2: looked for videos in {', '.join(_CELEB)}; found {counts}")
    clips = [_clip(root, p, False, "", (p.stem.split("_")[0],), p.stem) for p in folders["Celeb-real"]]
    clips += [_clip(root, p, False, "", (f"youtube-{p.stem}",), "") for p in folders["YouTube-real"]]
    for path in folders["Celeb-synthesis"]:
        names = path.stem.split("_")
        if len(names) != 3:
            raise DataError(f"{path} is not named as Celeb-DF names its fakes, idA_idB_MMMM: take it out of the folder")
        target, source, number = names
        clips.append(_clip(root, path, True, "Celeb-synthesis", (target, source), f"{target}_{number}"))
    listed = root / _TEST_LIST
    if not listed.is_file():
        return Found("celeb-df", tuple(clips), {})
    # Lines as "1 YouTube-real/00170.mp4"; copies with a folder "videos" are listed without it.
    tested = {line.split()[1] for line in _lines(listed) if len(line.split()) == 2}
    parts = {c.name: "test" for c in clips if c.name.replace("/videos/", "/") in tested}
    if not parts:
        raise DataError(f"{listed} names none of the videos of {root}: they belong to another copy of the data set")
    return Found("celeb-df", tuple(clips), {c.name: parts.get(c.name, "") for c in clips})


def _metadata_files(root: Path) -> list[Path]:
    own = root / "metadata.json"
    return [own] if own.is_file() else sorted(root.glob("*/metadata.json"))


def _dfdc(root: Path) -> Found:
    files = _metadata_files(root)
    if not files:
        raise DataError(f"{root} is no DFDC: looked for metadata.json in it and in its folders; found {_listing(root)}")
    clips, parts, absent = list[Clip](), dict[str, str](), 0
    for file in files:
        for name, about in _json(file, dict).items():
            label = str(about.get("label", "")).upper() if isinstance(about, dict) else ""
            if label not in ("REAL", "FAKE"):
                raise DataError(f"{file} gives {name} no label REAL or FAKE, as DFDC's metadata does")
            path = file.parent / Path(str(name)).name
            if not path.is_file():
                absent += 1
                continue
            fake = label == "FAKE"
            # DFDC names no people: whoever is in the original is in all fakes made from it.
            person = Path(str(about.get("original") or name)).stem if fake else path.stem
            clip = _clip(root, path, fake, "dfdc" if fake else "", (person,), person)
            clips.append(clip)
            parts[clip.name] = PARTS.get(str(about.get("split", "")), "")
    remark = f"{absent} of the videos that metadata.json lists are not there: left out"
    return Found("dfdc", tuple(clips), parts, (remark,) if absent else ())


def _deeper(root: Path, compression: str) -> Found:
    places = [root / place.format(c=compression) for place in _TARGETS]
    targets = next((files for place in places if (files := _videos(place))), [])
    fakes = [p for folder in sorted((root / "manipulated_videos").glob("*")) for p in _videos(folder)]
    if not targets or not fakes:
        raise DataError(
            f"{root} is no DeeperForensics with its target videos: looked for manipulated_videos/*/AAA_ACTOR.mp4 "
            f"(found {len(fakes)}) and FaceForensics++'s NNN.mp4 in "
            f"{' or '.join(p.format(c=compression) for p in _TARGETS)} (found {len(targets)}); found {_listing(root)}"
        )
    clips = [_clip(root, p, False, "", (p.stem,), p.stem) for p in targets]
    for path in fakes:
        people = _two(path, "_")
        clips.append(_clip(root, path, True, path.relative_to(root).parts[1], people, people[0]))
    home: dict[str, str] = {}
    for part in ("train", "val", "test"):
        file = root / "lists" / "splits" / f"{part}.txt"
        home.update({Path(line).stem: PARTS[part] for line in (_lines(file) if file.is_file() else ())})
    # The lists name the fakes; a real one goes with its own.
    home.update({name.split("_")[0]: part for name, part in list(home.items())})
    return Found("deeper", tuple(clips), {c.name: home[c.path.stem] for c in clips if c.path.stem in home})


def _folders(root: Path) -> Found:
    if (root / "real").is_dir() or (root / "fake").is_dir():
        return Found("folders", tuple(read_manifest(root)), {})
    clips, parts = list[Clip](), dict[str, str]()
    for folder, part in PARTS.items():
        if (root / folder).is_dir():
            for clip in read_manifest(root / folder, need_both=False):
                clips.append(replace(clip, name=f"{folder}/{clip.name}"))
                parts[clips[-1].name] = part
    if not clips:
        raise DataError(
            f"{root} is no folder of real and fake videos: looked for real/ and fake/, in it or in train/, valid/, "
            f"test/; found {_listing(root)}"
        )
    return Found("folders", tuple(clips), parts)


def _lines(file: Path) -> Iterator[str]:
    try:
        yield from (line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not a text file in UTF-8") from error


def _json(file: Path, kind: type) -> Any:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{file} is not JSON") from error
    if not isinstance(value, kind):
        raise DataError(f"{file} is no JSON {'list' if kind is list else 'object'}, as the data set publishes it")
    return value
