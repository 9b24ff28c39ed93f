"""Data sets in parts: the published split, by identity, and the notebooks' own, which say that they leak."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from trainset import couples

from stream.contract import Contract
from stream.errors import DataError, UsageError
from train.data_commands import manifest
from train.datasets import make_manifest, notebook_480, notebook_interleaved, part_clips
from train.layouts import Found, read_layout
from train.manifest import Clip, read_manifest
from train.parts import LEAKS, open_parts
from train.prepare import Job, prepare
from train.recipe import Recipe
from train.sampling import Notebook
from train.split import shared_people
from train.store import open_store


def made(reals: int, fakes: int) -> list[Clip]:
    """Fake number i swaps people i and i + 1 of the reals."""
    clips = [Clip(f"r{i}", Path(f"r{i}.mp4"), "real", "", (str(i),), str(i)) for i in range(reals)]
    return clips + [
        Clip(f"f{i}", Path(f"f{i}.mp4"), "fake", "swap", (str(i % reals), str((i + 1) % reals)), str(i % reals))
        for i in range(fakes)
    ]


def put(video: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(video, place)


def sizes(parts: dict[str, list[Clip]]) -> dict[str, tuple[int, int]]:
    return {name: (sum(not c.fake for c in clips), sum(c.fake for c in clips)) for name, clips in parts.items()}


@pytest.fixture
def ff(tmp_path: Path) -> Path:
    """FaceForensics++ in small: twenty people, swapped in couples."""
    root = tmp_path / "ff"
    couples = [(f"{i:03d}", f"{i + 1:03d}") for i in range(0, 20, 2)]
    names = [f"original_sequences/youtube/c23/videos/{i:03d}.mp4" for i in range(20)]
    for a, b in couples:
        names += [f"manipulated_sequences/Deepfakes/c23/videos/{x}_{y}.mp4" for x, y in ((a, b), (b, a))]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    for part, which in {"train": couples[:6], "val": couples[6:8], "test": couples[8:]}.items():
        (root / f"{part}.json").write_text(json.dumps(which))
    return root


def test_the_published_split_is_kept(ff: Path) -> None:
    parts = part_clips(read_layout(ff), "published")
    assert sizes(parts.clips) == {"train": (12, 12), "valid": (4, 4), "test": (4, 4)}
    assert parts.warnings == () and parts.leaks == ""


def test_by_identity_nobody_is_in_two_parts(ff: Path) -> None:
    parts = part_clips(read_layout(ff), "identity", seed=3)
    assert sizes(parts.clips) == {"train": (14, 14), "valid": (4, 4), "test": (2, 2)}
    assert not shared_people(parts.clips["train"], parts.clips["test"]) and parts.leaks == ""


def test_the_first_notebooks_split_takes_480_of_each_class_at_70_20_10_and_says_that_it_leaks() -> None:
    parts = part_clips(Found("folders", tuple(made(1000, 1000)), {}), "notebook-480")
    assert sizes(parts.clips) == {"train": (336, 336), "valid": (96, 96), "test": (48, 48)}
    assert "leaks identities" in parts.leaks and parts.warnings == (parts.leaks,)


def test_with_fewer_videos_than_480_the_split_says_how_many_it_took() -> None:
    parts = notebook_480(made(20, 30))
    assert sizes(parts.clips) == {"train": (14, 14), "valid": (4, 4), "test": (2, 2)}
    assert "enough for 20" in parts.warnings[0]


def test_the_second_notebooks_split_is_interleaved_at_80_10_10() -> None:
    parts = notebook_interleaved(made(50, 70)).clips
    assert sizes(parts) == {"train": (40, 40), "valid": (5, 5), "test": (5, 5)}
    assert [clip.fake for clip in parts["train"]] == [False, True] * 40


def test_the_notebooks_splits_are_repeatable_and_change_with_the_seed() -> None:
    clips = made(30, 30)
    one, again, other = (notebook_interleaved(clips, seed).clips["test"] for seed in (1, 1, 2))
    assert one == again and one != other


def test_where_only_test_videos_are_published_validation_is_taken_by_identity() -> None:
    clips = made(40, 40)
    clips = [Clip(c.name, c.path, c.label, c.method, c.identities[:1], c.pair) for c in clips]
    parts = part_clips(Found("celeb-df", tuple(clips), {"r0": "test", "f0": "test"}), "published")
    assert sizes(parts.clips)["test"] == (1, 1)
    assert "no validation videos are published" in parts.warnings[0]
    assert not shared_people(parts.clips["train"], parts.clips["valid"])


def test_where_everyone_is_swapped_with_everyone_the_fakes_in_between_are_left_out_and_counted() -> None:
    people = [str(i) for i in range(20)]
    swaps = [Clip(f"{a}_{b}", Path("x"), "fake", "", (a, b), a) for a in people for b in people if a != b]
    parts = part_clips(Found("celeb-df", (*made(20, 0), *swaps), {}), "identity")
    assert not shared_people(parts.clips["train"], parts.clips["test"])
    assert "left out" in parts.warnings[0]


def test_a_split_that_is_not_published_says_where_it_was_looked_for() -> None:
    with pytest.raises(DataError, match=r"looked for train.json, val.json and test.json .* use --split identity"):
        part_clips(Found("ff++", tuple(made(4, 4)), {}), "published")


def test_the_manifest_names_each_part_and_the_parts_lie_in_a_folder_beside_it(ff: Path, tmp_path: Path) -> None:
    out = tmp_path / "ff.csv"
    make_manifest(ff, out, split_by="published")
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [rows[0][k] for k in ("path", "label", "identity", "split")] == [
        "ff/original_sequences/youtube/c23/videos/000.mp4",
        "real",
        "000",
        "train",
    ]
    fake = next(row for row in rows if row["path"].endswith("018_019.mp4"))
    assert (fake["method"], fake["identity"], fake["pair"], fake["split"]) == ("Deepfakes", "018|019", "018", "test")
    assert len(read_manifest(out)) == 40
    assert len(read_manifest(tmp_path / "ff" / "test.csv")) == 8 and not (tmp_path / "ff" / LEAKS).exists()


def test_the_command_warns_aloud_of_a_split_that_leaks(
    ff: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert manifest(ff, tmp_path / "m.csv", split="notebook-interleaved") == 0
    told = capsys.readouterr()
    assert "warning: the notebook-interleaved split leaks identities" in told.err
    assert "20 real, 20 fake" in told.out and "leaks identities" in (tmp_path / "m" / LEAKS).read_text()


def test_an_unknown_split_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown split 'random'"):
        make_manifest(tmp_path, tmp_path / "m.csv", split_by="random")  # type: ignore[arg-type]


def test_a_replica_goes_from_its_folder_to_samples_with_the_notebooks_sampling_and_split(tmp_path: Path) -> None:
    root = tmp_path / "ff"
    for i, (real, fake) in enumerate(couples(tmp_path, 10)):
        put(real, root / f"original_sequences/youtube/c23/videos/{i:03d}.mp4")
        put(fake, root / f"manipulated_sequences/Deepfakes/c23/videos/{i:03d}_{(i + 1) % 10:03d}.mp4")
    make_manifest(root, tmp_path / "ff.csv", split_by="notebook-interleaved")
    store = tmp_path / "store"
    done = prepare(read_manifest(tmp_path / "ff.csv"), Job(store, Contract(size=32), Notebook(2, 8, 4)), workers=1)
    assert (done.made, done.bad) == (20, ())
    parts = open_parts(store, Recipe(), tmp_path / "ff")
    assert (len(parts.train), len(parts.valid)) == (32, 4)
    assert "leaks identities" in parts.described["train"]["leaks"]


REPLICAS = {
    "celeb-df": (
        ("Celeb-real/id0_0000.mp4", "Celeb-real/id1_0000.mp4", "YouTube-real/00000.mp4"),
        ("Celeb-synthesis/id0_id1_0000.mp4",),
    ),
    "dfdc": (("part_0/a.mp4", "part_1/c.mp4"), ("part_0/b.mp4", "part_1/d.mp4")),
    "deeper": (("target_videos/000.mp4",), ("manipulated_videos/end_to_end/000_M101.mp4",)),
    "folders": (("real/a.mp4",), ("fake/swap/b.mp4",)),
}


@pytest.mark.parametrize("layout", REPLICAS)
def test_a_replica_of_each_layout_goes_from_its_folder_to_a_store(tmp_path: Path, layout: str) -> None:
    root, (reals, fakes) = tmp_path / "data", REPLICAS[layout]
    videos = couples(tmp_path, len(reals))
    for names, which in ((reals, 0), (fakes, 1)):
        for name, couple in zip(names, videos, strict=False):
            put(couple[which], root / name)
    if layout == "dfdc":
        for real, fake in zip(reals, fakes, strict=True):
            about = {
                Path(real).name: {"label": "REAL"},
                Path(fake).name: {"label": "FAKE", "original": Path(real).name},
            }
            (root / real).with_name("metadata.json").write_text(json.dumps(about))
    found, _ = make_manifest(root, tmp_path / "m.csv")
    assert found.layout == layout
    clips = read_manifest(tmp_path / "m.csv")
    done = prepare(clips, Job(tmp_path / "store", Contract(size=32), Notebook(2, 8, 4)), workers=1)
    assert (done.made, done.bad) == (len(reals) + len(fakes), ())
    stored = {s.clip.path.relative_to(root.resolve()).as_posix(): s for s in open_store(tmp_path / "store").clips}
    assert {name for name, s in stored.items() if s.clip.fake} == set(fakes)
    assert {name for name, s in stored.items() if not s.clip.fake} == set(reals)
    assert all(s.pairs == 2 for s in stored.values())
    assert [s.clip.identities for s in stored.values()] == [c.identities for c in clips]
