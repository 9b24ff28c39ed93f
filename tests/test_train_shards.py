"""Record files: nothing is lost, every shard has one reader, and an interrupted writing goes on."""

from __future__ import annotations

import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader
from trainset import SMALL, small_store

from stream.errors import DataError
from train.augment import Augment
from train.shard_stream import Reader, ShardSamples, ShardStream
from train.shards import Packed, open_shards, read_shard, write_shards
from train.store import open_store

RGB = replace(SMALL, input="rgb")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_store(tmp_path_factory.mktemp("store") / "store", pairs=4)


@pytest.fixture(scope="module")
def shards(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 pairs of 12 clips: 40 to train in 4 shards, 8 to validate in one."""
    clips, out = open_store(store).clips, tmp_path_factory.mktemp("shards")
    assert write_shards({"train": clips[:10], "valid": clips[10:]}, SMALL, out, per_shard=10, workers=2) == 5
    return out


def _key(packed: Packed) -> tuple[str, float]:
    return packed.about["clip"], packed.about["pts_s"]


def test_every_pair_is_there_once_and_as_it_was(store: Path, shards: Path) -> None:
    files, contract = open_shards(shards, "train")
    found = [packed for file in files for packed in read_shard(file)]
    assert contract == SMALL and len(found) == len(set(map(_key, found))) == 40
    stored = {clip.clip.name: clip for clip in open_store(store).clips}
    for packed in found[:8]:
        pair = packed.pair()
        clip = stored[packed.about["clip"]]
        same = next(p for p in map(clip.pair, range(clip.pairs)) if p.pts_s == pair.pts_s)
        np.testing.assert_array_equal(pair.first, same.first)
        np.testing.assert_array_equal(pair.second, same.second)
        assert (pair.gap_s, pair.box, pair.track) == (same.gap_s, same.box, same.track)


def test_the_members_are_laid_out_as_webdataset_reads_them(shards: Path) -> None:
    with tarfile.open(shards / "valid-00000.tar") as tar:
        assert tar.getnames()[:4] == [
            "00000000.first.png",
            "00000000.second.png",
            "00000000.json",
            "00000001.first.png",
        ]


def test_each_shard_mixes_clips(shards: Path) -> None:
    for file in open_shards(shards, "train")[0]:
        assert len({packed.about["clip"] for packed in read_shard(file)}) >= 4


def test_all_readers_together_see_every_sample_once(shards: Path) -> None:
    seen: Counter[bytes] = Counter()
    for rank in range(2):
        stream = ShardStream(shards, "train", RGB, reader=Reader(rank, 2), buffer=7)
        for image, _ in DataLoader(stream, batch_size=None, num_workers=2):
            seen[image.numpy().tobytes()] += 1
    every = Counter(image.tobytes() for image, _ in ShardStream(shards, "train", RGB))
    assert seen == every and sum(seen.values()) == 40


def test_the_stream_is_shuffled_and_another_epoch_has_another_order(shards: Path) -> None:
    stream = ShardStream(shards, "train", RGB, buffer=16)
    one, again = ([image.tobytes() for image, _ in stream] for _ in range(2))
    stream.epoch = 1
    other = [image.tobytes() for image, _ in stream]
    assert one == again and one != other and sorted(one) == sorted(other)


def test_more_readers_than_shards_is_one_clear_error(shards: Path) -> None:
    with pytest.raises(DataError, match="1 shards cannot feed 2 readers"):
        next(iter(ShardStream(shards, "valid", RGB, reader=Reader(0, 2))))


def test_an_interrupted_writing_goes_on_with_what_is_missing(store: Path, tmp_path: Path) -> None:
    clips = open_store(store).clips
    write_shards({"train": clips}, SMALL, tmp_path, per_shard=20, workers=1)
    before = (tmp_path / "train-00000.tar").read_bytes()
    (tmp_path / "train-00001.json").unlink()
    with pytest.raises(DataError, match=r"lacks train-00001.tar of 3"):
        open_shards(tmp_path, "train")
    assert write_shards({"train": clips}, SMALL, tmp_path, per_shard=20, workers=1) == 1
    assert (tmp_path / "train-00000.tar").read_bytes() == before


def test_another_size_of_shards_does_not_go_into_the_same_folder(store: Path, shards: Path) -> None:
    with pytest.raises(DataError, match="another store, contract or size"):
        write_shards({"train": open_store(store).clips}, SMALL, shards, per_shard=5)


def test_samples_by_number_are_all_there_and_a_function_of_epoch_and_index_alone(shards: Path) -> None:
    made = [ShardSamples(shards, "train", RGB, Augment(), seed=3) for _ in range(2)]
    assert len(made[0]) == 40
    first = [made[0].sample(0, i)[0].tobytes() for i in range(40)]
    assert first == [made[1].sample(0, i)[0].tobytes() for i in reversed(range(40))][::-1]
    second = [made[0].sample(1, i)[0].tobytes() for i in range(40)]
    assert first != second and sorted(first) == sorted(second)


def test_a_folder_without_record_files_says_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="flowtell train shards"):
        open_shards(tmp_path, "train")


def test_a_damaged_shard_is_one_clear_error(shards: Path, tmp_path: Path) -> None:
    broken = tmp_path / "train-00000.tar"
    broken.with_suffix(".json").write_bytes((shards / "train-00000.json").read_bytes())
    whole = (shards / "train-00000.tar").read_bytes()
    for length in (3000, 3072, len(whole) // 2):
        broken.write_bytes(whole[:length])
        with pytest.raises(DataError, match="is damaged"):
            list(read_shard(broken))
