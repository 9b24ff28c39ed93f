"""Sequences of successive pairs: each of one clip, in order, and a function of (epoch, index) alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from trainset import SMALL, small_store

from stream.errors import DataError, UsageError
from stream.fusion import fuse
from train.augment import Augment
from train.dataset import ALTERED, ORIGINAL
from train.parts import open_parts
from train.recipe import Recipe, read_recipe
from train.sequences import SequenceSamples, samples
from train.store import Store, open_store

RGB = replace(SMALL, input="rgb")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(small_store(tmp_path_factory.mktemp("store") / "store", pairs=8))


def test_to_validate_every_clip_is_cut_into_all_its_sequences(store: Store) -> None:
    made = SequenceSamples(store.clips, RGB, steps=3)
    assert len(made) == 12 * 2
    for index in (0, 1, 23):
        clip, start = store.clips[index // 2], index % 2 * 3
        sequence, label = made.sample(5, index)
        expected = np.stack([fuse(clip.pair(start + k), RGB) for k in range(3)])
        np.testing.assert_array_equal(sequence, expected)
        assert label == (ALTERED if clip.clip.fake else ORIGINAL)


def test_to_learn_real_and_fake_come_in_turn_at_another_place_each_epoch(store: Store) -> None:
    made = [SequenceSamples(store.clips, RGB, steps=3, augment=Augment(), seed=1) for _ in range(2)]
    assert [made[0].sample(0, i)[1] for i in range(6)] == [ALTERED, ORIGINAL] * 3
    one, again, other = made[0].sample(0, 4)[0], made[1].sample(0, 4)[0], made[0].sample(1, 4)[0]
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_one_draw_changes_all_pairs_of_a_sequence_alike(store: Store) -> None:
    plain = SequenceSamples(store.clips, RGB, steps=4, augment=Augment(), seed=2)
    flipped = SequenceSamples(store.clips, RGB, steps=4, augment=Augment(flip=0.5), seed=2)
    for index in range(8):
        one, other = plain.sample(0, index)[0], flipped.sample(0, index)[0]
        turned = [not np.array_equal(a, b) for a, b in zip(one, other, strict=True)]
        assert len(set(turned)) == 1


def test_clips_with_too_few_pairs_are_left_out_and_none_left_is_one_clear_error(store: Store) -> None:
    with pytest.raises(DataError, match="at least 9 pairs"):
        SequenceSamples(store.clips, RGB, steps=9)


def test_the_recipe_takes_its_sequences_from_a_store(store: Store) -> None:
    recipe = replace(read_recipe("cnn-lstm"), valid_share=0.3, test_share=0.0)
    parts = open_parts(store.folder, recipe)
    assert parts.contract.memory == 128 and parts.contract.size == SMALL.size
    sequence, _ = parts.train.sample(0, 0)
    assert sequence.shape == (8, SMALL.size, SMALL.size, 3) and len(parts.valid) > 0


def test_impossible_steps_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"options.steps"):
        samples(store.folder, SMALL, "train", Recipe(options={"steps": 0}))
