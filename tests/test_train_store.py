"""The pair store: what goes in comes out byte for byte, and no other store is taken for it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from trainset import SMALL, small_clips, small_store

from stream.contract import Contract
from stream.errors import DataError, OutputError
from train.manifest import Clip
from train.store import create, is_store, open_store, pairs_file, refuse_other, write_atomically


def test_a_stored_pair_comes_back_byte_for_byte(tmp_path: Path) -> None:
    store = open_store(small_store(tmp_path / "store", clips=2, pairs=3))
    assert [(s.clip.name, s.pairs) for s in store.clips] == [("0.mp4", 3), ("1.mp4", 3)]
    assert store.contract == SMALL
    rows = np.load(pairs_file(tmp_path / "store", store.clips[1].clip))
    pair = store.clips[1].pair(2)
    assert (pair.track, pair.pts_s, pair.gap_s, tuple(pair.box), pair.face_px) == (1, 0.08, 0.04, (10, 10, 60, 60), 60)
    assert np.array_equal(pair.first, rows[2]["first"]) and np.array_equal(pair.second, rows[2]["second"])


def test_a_clip_keeps_its_label_people_and_pair(tmp_path: Path) -> None:
    store = open_store(small_store(tmp_path, clips=4))
    assert [s.clip for s in store.clips] == small_clips(4)


def test_files_of_clips_with_like_names_differ(tmp_path: Path) -> None:
    one, other = (Clip(name, Path(name), "real") for name in ("a/b.mp4", "a_b.mp4"))
    assert pairs_file(tmp_path, one) != pairs_file(tmp_path, other)


@pytest.mark.parametrize("change", [{"size": 48}, {"margin": 0.3}, {"gap_s": 0.05}, {"gap_max_s": 0.2}])
def test_a_store_of_another_contract_is_refused(tmp_path: Path, change: dict[str, float]) -> None:
    small_store(tmp_path)
    other = replace(SMALL, **change)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=f"another contract \\({next(iter(change))}"):
        create(tmp_path, other, "evenly 8", "haar", [])
    with pytest.raises(DataError, match="another contract"):
        refuse_other(open_store(tmp_path).contract, other, "the store")


def test_another_input_form_is_no_other_store(tmp_path: Path) -> None:
    small_store(tmp_path)
    for form in ("rgb", "flow"):
        create(tmp_path, replace(SMALL, input=form, temperature=2.0), "evenly 8", "haar", [])


def test_another_sampling_or_detector_is_refused(tmp_path: Path) -> None:
    small_store(tmp_path)
    with pytest.raises(DataError, match="prepared with sampling 'evenly 8', not 'all'"):
        create(tmp_path, SMALL, "all", "haar", [])
    with pytest.raises(DataError, match="prepared with faces 'haar', not 'yunet'"):
        create(tmp_path, SMALL, "evenly 8", "yunet", [])


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="neither empty nor a pair store"):
        create(tmp_path, SMALL, "all", "haar", [])


def test_two_videos_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.mp4").write_bytes(folder.encode())
    create(tmp_path / "store", SMALL, "all", "haar", [Clip("a.mp4", tmp_path / "one" / "a.mp4", "real")])
    with pytest.raises(DataError, match=r"already holds another a\.mp4"):
        create(tmp_path / "store", SMALL, "all", "haar", [Clip("a.mp4", tmp_path / "two" / "a.mp4", "real")])


def test_a_store_grows_by_new_clips(tmp_path: Path) -> None:
    create(tmp_path, SMALL, "all", "haar", small_clips(2))
    create(tmp_path, SMALL, "all", "haar", small_clips(4)[2:])
    assert [row["name"] for row in json.loads((tmp_path / "clips.json").read_text())] == [
        "0.mp4",
        "1.mp4",
        "2.mp4",
        "3.mp4",
    ]


def test_what_is_no_store_is_one_clear_error(tmp_path: Path) -> None:
    assert not is_store(tmp_path)
    with pytest.raises(DataError, match="is no pair store"):
        open_store(tmp_path)
    create(tmp_path, SMALL, "all", "haar", small_clips(2))
    with pytest.raises(DataError, match="holds no pairs"):
        open_store(tmp_path)
    (tmp_path / "store.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        open_store(tmp_path)
    (tmp_path / "store.json").write_text('{"format": 99, "contract": {}}')
    with pytest.raises(DataError, match="another format"):
        open_store(tmp_path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    small_store(tmp_path, clips=2)
    file = pairs_file(tmp_path, small_clips(1)[0])
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(DataError, match="is damaged"):
        open_store(tmp_path)
    np.save(file, np.zeros(3))
    with pytest.raises(DataError, match="does not hold pairs of 32 px"):
        open_store(tmp_path)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", lambda out: out.write(b"old"))

    def fail(out: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        write_atomically(tmp_path / "a", fail)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_the_stores_contract_is_the_one_it_was_made_by(tmp_path: Path) -> None:
    contract = Contract(size=64, margin=0.1, thresholds=SMALL.thresholds)
    create(tmp_path, contract, "all", "haar", [])
    assert Contract.from_json(json.dumps(json.loads((tmp_path / "store.json").read_text())["contract"])) == contract
