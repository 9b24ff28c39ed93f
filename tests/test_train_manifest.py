"""Manifests: every mistake is one clear error before any long work."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.errors import DataError
from train.manifest import read_manifest, write_manifest

HEAD = "path,label,method,identity,pair,fps\n"


def manifest(folder: Path, text: str, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    (folder / "manifest.csv").write_text(text)
    return folder / "manifest.csv"


def test_rows_become_clips_with_paths_from_the_manifests_folder(tmp_path: Path) -> None:
    text = HEAD + "a.mp4,real,,ann,v1,25\nsub/b.mp4,fake,swap,ann|bob;cy,v1,25\nc.mp4,real,,,,\n"
    a, b, c = read_manifest(manifest(tmp_path, text, "a.mp4", "sub/b.mp4", "c.mp4"))
    assert (a.name, a.path, a.label, a.method, a.identities, a.pair) == (
        "a.mp4",
        tmp_path / "a.mp4",
        "real",
        "",
        ("ann",),
        "v1",
    )
    assert (b.method, b.identities, b.fake) == ("swap", ("ann", "bob", "cy"), True)
    assert c.identities == ("c.mp4",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("path,label\na.mp4,real\n", "lacks the columns method, identity, pair"),
        (HEAD, "lists no clips"),
        (HEAD + "a.mp4,real,,,,\n", "no fake clips"),
        (HEAD + "a.mp4,fake,,,,\n", "no real clips"),
        (HEAD + "a.mp4,genuine,,,,\n", "line 2 has the label 'genuine'"),
        (HEAD + "a.mp4,real,,,,\n,fake,,,,\n", "line 3 has no path"),
        (HEAD + "a.mp4\n", "line 2 has the label ''"),
        (HEAD + "a.mp4,real,,,,\na.mp4,fake,,,,\n", "lists a.mp4 twice"),
        (HEAD + "a.mp4,real,,,,\nx.mp4,fake,,,,\ny.mp4,fake,,,,\n", "not there: x.mp4 and 1 more"),
    ],
)
def test_a_mistake_in_the_manifest_is_one_clear_error(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_manifest(manifest(tmp_path, text, "a.mp4"))


def test_no_such_manifest_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no manifest"):
        read_manifest(tmp_path / "none.csv")


def test_a_file_that_is_no_text_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DataError, match="not a CSV"):
        read_manifest(tmp_path / "m.csv")


def test_folders_real_and_fake_are_a_manifest(tmp_path: Path) -> None:
    manifest(tmp_path, "", "real/ann.mp4", "fake/swap/bob.mov", "fake/notes.txt")
    real, fake = read_manifest(tmp_path)
    assert (real.name, real.label, real.identities, real.method) == ("real/ann.mp4", "real", ("ann",), "")
    assert (fake.name, fake.label, fake.identities, fake.method) == ("fake/swap/bob.mov", "fake", ("bob",), "swap")


def test_a_folder_of_another_shape_names_what_was_looked_for_and_found(tmp_path: Path) -> None:
    manifest(tmp_path, "", "real/a.mp4", "other/b.mp4")
    with pytest.raises(DataError, match=r"no folder fake/: found manifest\.csv, other, real"):
        read_manifest(tmp_path)


def test_a_written_manifest_reads_back_the_same(tmp_path: Path) -> None:
    text = HEAD + "a.mp4,real,,ann,v1,25\nb.mp4,fake,swap,ann|bob,v1,25\n"
    clips = read_manifest(manifest(tmp_path, text, "a.mp4", "b.mp4"))
    write_manifest(clips, tmp_path / "again.csv")
    assert read_manifest(tmp_path / "again.csv") == clips
    (tmp_path / "split").mkdir()
    write_manifest(clips, tmp_path / "split" / "train.csv")
    assert [c.path for c in read_manifest(tmp_path / "split" / "train.csv")] == [c.path.resolve() for c in clips]
