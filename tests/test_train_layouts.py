"""Small replicas of each data set's folder: its clips, people, pairs and published parts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stream.errors import DataError, UsageError
from train.layouts import METHODS, find_layout, read_layout


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


@pytest.fixture
def ff(tmp_path: Path) -> Path:
    for c in ("c23", "c40"):
        touch(tmp_path, *(f"original_sequences/youtube/{c}/videos/{n:03d}.mp4" for n in range(6)))
        for method in METHODS:
            pairs = ("000_001", "001_000", "002_003", "004_005")
            touch(tmp_path, *(f"manipulated_sequences/{method}/{c}/videos/{pair}.mp4" for pair in pairs))
    for part, pairs in {"train": [["000", "001"]], "val": [["002", "003"]], "test": [["004", "005"]]}.items():
        (tmp_path / f"{part}.json").write_text(json.dumps(pairs))
    return tmp_path


@pytest.fixture
def celeb(tmp_path: Path) -> Path:
    touch(tmp_path, *(f"Celeb-real/id{i}_{k:04d}.mp4" for i in range(3) for k in range(2)))
    touch(tmp_path, "YouTube-real/00000.mp4", "YouTube-real/00001.mp4")
    touch(tmp_path, "Celeb-synthesis/id0_id1_0000.mp4", "Celeb-synthesis/id2_id0_0001.mp4")
    lines = "1 YouTube-real/00001.mp4\n0 Celeb-synthesis/id2_id0_0001.mp4\n1 Celeb-real/id2_0001.mp4\n"
    (tmp_path / "List_of_testing_videos.txt").write_text(lines)
    return tmp_path


def test_faceforensics_fakes_belong_to_both_people_and_to_the_video_they_were_made_from(ff: Path) -> None:
    found = read_layout(ff)
    clips = {clip.name: clip for clip in found.clips}
    assert found.layout == "ff++" and len(clips) == 6 + 5 * 4
    real = clips["original_sequences/youtube/c23/videos/004.mp4"]
    assert (real.label, real.method, real.identities, real.pair) == ("real", "", ("004",), "004")
    fake = clips["manipulated_sequences/FaceShifter/c23/videos/004_005.mp4"]
    assert (fake.label, fake.method, fake.identities, fake.pair) == ("fake", "FaceShifter", ("004", "005"), "004")
    assert fake.path.is_file()


def test_faceforensics_published_lists_give_each_clip_its_part(ff: Path) -> None:
    parts = read_layout(ff).published
    assert parts["original_sequences/youtube/c23/videos/001.mp4"] == "train"
    assert parts["manipulated_sequences/NeuralTextures/c23/videos/002_003.mp4"] == "valid"
    assert parts["manipulated_sequences/Deepfakes/c23/videos/004_005.mp4"] == "test"


@pytest.mark.parametrize("place", ["splits", "dataset/splits"])
def test_the_lists_may_lie_in_a_folder_of_their_own(ff: Path, place: str) -> None:
    (ff / place).mkdir(parents=True)
    for part in ("train", "val", "test"):
        (ff / f"{part}.json").rename(ff / place / f"{part}.json")
    assert set(read_layout(ff).published.values()) == {"train", "valid", "test"}


def test_faceforensics_of_another_compression_is_read_on_request(ff: Path) -> None:
    assert all("/c40/" in clip.name for clip in read_layout(ff, compression="c40").clips)


def test_a_missing_compression_names_what_was_looked_for_and_what_is_there(ff: Path) -> None:
    says = r"compression raw: looked for original_sequences/youtube/raw/videos/NNN.mp4 .* found 26 videos of c23, 26"
    with pytest.raises(DataError, match=says):
        read_layout(ff, compression="raw")


def test_a_part_of_the_methods_is_enough(ff: Path) -> None:
    for method in METHODS[1:]:
        for path in (ff / "manipulated_sequences" / method / "c23" / "videos").iterdir():
            path.unlink()
    assert {clip.method for clip in read_layout(ff).clips} == {"", "Deepfakes"}


def test_a_fake_without_two_people_in_its_name_is_named(ff: Path) -> None:
    touch(ff, "manipulated_sequences/Deepfakes/c23/videos/out.mp4")
    with pytest.raises(DataError, match=r"out.mp4 is not named after two people"):
        read_layout(ff)


def test_celeb_df_names_people_pairs_and_the_test_videos(celeb: Path) -> None:
    found = read_layout(celeb)
    clips = {clip.name: clip for clip in found.clips}
    assert found.layout == "celeb-df" and len(clips) == 10
    fake = clips["Celeb-synthesis/id2_id0_0001.mp4"]
    assert (fake.method, fake.identities, fake.pair) == ("Celeb-synthesis", ("id2", "id0"), "id2_0001")
    assert clips["Celeb-real/id2_0001.mp4"].pair == "id2_0001"
    assert clips["YouTube-real/00000.mp4"].identities == ("youtube-00000",)
    assert sorted(name for name, part in found.published.items() if part == "test") == [
        "Celeb-real/id2_0001.mp4",
        "Celeb-synthesis/id2_id0_0001.mp4",
        "YouTube-real/00001.mp4",
    ]


def test_celeb_df_may_keep_its_videos_in_a_folder_videos(celeb: Path) -> None:
    for name in ("Celeb-real", "YouTube-real", "Celeb-synthesis"):
        inside = list((celeb / name).iterdir())
        (celeb / name / "videos").mkdir()
        for path in inside:
            path.rename(celeb / name / "videos" / path.name)
    found = read_layout(celeb)
    assert found.published["Celeb-real/videos/id2_0001.mp4"] == "test"


def test_dfdc_takes_labels_and_originals_from_the_metadata_of_every_folder(tmp_path: Path) -> None:
    for folder in ("dfdc_train_part_0", "dfdc_train_part_1"):
        touch(tmp_path, f"{folder}/a{folder[-1]}.mp4", f"{folder}/b{folder[-1]}.mp4")
        (tmp_path / folder / "metadata.json").write_text(
            json.dumps(
                {
                    f"a{folder[-1]}.mp4": {"label": "REAL", "split": "train", "original": None},
                    f"b{folder[-1]}.mp4": {"label": "FAKE", "split": "train", "original": f"a{folder[-1]}.mp4"},
                    "gone.mp4": {"label": "FAKE", "split": "train", "original": "a0.mp4"},
                }
            )
        )
    found = read_layout(tmp_path)
    clips = {clip.name: clip for clip in found.clips}
    assert found.layout == "dfdc" and len(clips) == 4
    fake = clips["dfdc_train_part_1/b1.mp4"]
    assert (fake.label, fake.identities, fake.pair) == ("fake", ("a1",), "a1")
    assert found.remarks == ("2 of the videos that metadata.json lists are not there: left out",)


def test_dfdc_metadata_without_labels_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text('{"a.mp4": {"split": "test"}}')
    with pytest.raises(DataError, match=r"gives a.mp4 no label REAL or FAKE"):
        read_layout(tmp_path)


def test_deeperforensics_takes_its_real_videos_from_beside_it(tmp_path: Path) -> None:
    touch(tmp_path, "manipulated_videos/end_to_end/000_M101.mp4", "manipulated_videos/end_to_end_level_3/001_W004.mp4")
    touch(tmp_path, "target_videos/000.mp4", "target_videos/001.mp4", "source_videos/M101/BlendShape/x.mp4")
    touch(tmp_path, "lists/splits/x")
    for part, name in {"train": "000_M101.mp4", "test": "001_W004.mp4"}.items():
        (tmp_path / "lists" / "splits" / f"{part}.txt").write_text(name + "\n")
    found = read_layout(tmp_path)
    clips = {clip.name: clip for clip in found.clips}
    assert found.layout == "deeper" and len(clips) == 4
    fake = clips["manipulated_videos/end_to_end_level_3/001_W004.mp4"]
    assert (fake.method, fake.identities, fake.pair) == ("end_to_end_level_3", ("001", "W004"), "001")
    assert found.published == {
        "target_videos/000.mp4": "train",
        "target_videos/001.mp4": "test",
        "manipulated_videos/end_to_end/000_M101.mp4": "train",
        "manipulated_videos/end_to_end_level_3/001_W004.mp4": "test",
    }


def test_deeperforensics_without_real_videos_says_where_they_are_looked_for(tmp_path: Path) -> None:
    touch(tmp_path, "manipulated_videos/end_to_end/000_M101.mp4")
    with pytest.raises(
        DataError, match=r"NNN.mp4 in original_sequences/youtube/c23/videos or target_videos \(found 0\)"
    ):
        read_layout(tmp_path)


def test_folders_real_and_fake_may_lie_in_parts(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{part}/{label}/{part}.mp4" for part in ("train", "val", "test") for label in ("real", "fake")))
    found = read_layout(tmp_path)
    assert found.layout == "folders" and len(found.clips) == 6
    assert found.published["val/fake/val.mp4"] == "valid"


def test_an_unknown_folder_names_all_that_was_looked_for_and_what_was_found(tmp_path: Path) -> None:
    touch(tmp_path, "videos/a.mp4", "notes.txt")
    with pytest.raises(DataError, match=r"looked for original_sequences .* found notes.txt, videos/"):
        find_layout(tmp_path)


@pytest.mark.parametrize("layout", ["ff++", "celeb-df", "dfdc", "deeper", "folders"])
def test_a_named_layout_that_is_not_there_is_one_clear_error(tmp_path: Path, layout: str) -> None:
    with pytest.raises(DataError, match=r"looked for .* found"):
        read_layout(tmp_path, layout)  # type: ignore[arg-type]


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown layout 'imagenet'"):
        read_layout(tmp_path, "imagenet")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="unknown compression 'c99'"):
        read_layout(tmp_path, "ff++", "c99")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no folder"):
        read_layout(tmp_path / "nowhere")
