"""Sequences of successive pairs: each of one clip, at the stream's own pace, and a function of (epoch, index) alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from trainset import SMALL, portrait_video, small_store

from stream.errors import DataError, UsageError
from stream.fusion import fuse
from stream.records import Image, States
from train.augment import Augment
from train.dataset import ALTERED, ORIGINAL
from train.manifest import Clip
from train.parts import open_parts
from train.prepare import Job, clip_pairs, prepare
from train.recipe import Recipe, read_recipe
from train.scoring import score_stored
from train.sequences import SequenceSamples, samples
from train.store import Store, open_store

RGB = replace(SMALL, input="rgb")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(small_store(tmp_path_factory.mktemp("store") / "store", pairs=8))


def test_to_validate_every_clip_is_cut_into_all_its_sequences(store: Store) -> None:
    made = SequenceSamples(store.clips, RGB, steps=3, rate_hz=None)
    assert len(made) == 12 * 2
    for index in (0, 1, 23):
        clip, start = store.clips[index // 2], index % 2 * 3
        sequence, label = made.sample(5, index)
        expected = np.stack([fuse(clip.pair(start + k), RGB) for k in range(3)])
        np.testing.assert_array_equal(sequence, expected)
        assert label == (ALTERED if clip.clip.fake else ORIGINAL)


def test_to_learn_real_and_fake_come_in_turn_at_another_place_each_epoch(store: Store) -> None:
    made = [SequenceSamples(store.clips, RGB, steps=3, augment=Augment(), seed=1, rate_hz=None) for _ in range(2)]
    assert [made[0].sample(0, i)[1] for i in range(6)] == [ALTERED, ORIGINAL] * 3
    one, again, other = made[0].sample(0, 4)[0], made[1].sample(0, 4)[0], made[0].sample(1, 4)[0]
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_one_draw_changes_all_pairs_of_a_sequence_alike(store: Store) -> None:
    plain = SequenceSamples(store.clips, RGB, steps=4, augment=Augment(), seed=2, rate_hz=None)
    flipped = SequenceSamples(store.clips, RGB, steps=4, augment=Augment(flip=0.5), seed=2, rate_hz=None)
    for index in range(8):
        one, other = plain.sample(0, index)[0], flipped.sample(0, index)[0]
        turned = [not np.array_equal(a, b) for a, b in zip(one, other, strict=True)]
        assert len(set(turned)) == 1


def test_clips_with_too_few_pairs_are_left_out_and_none_left_is_one_clear_error(store: Store) -> None:
    with pytest.raises(DataError, match="at least 9 pairs: prepare"):
        SequenceSamples(store.clips, RGB, steps=9, rate_hz=None)
    with pytest.raises(DataError, match="at least 5 pairs, 10 a second"):
        SequenceSamples(store.clips, RGB, steps=5)


@pytest.mark.parametrize("rate_hz", [10.0, 7.0, None])
def test_stored_pairs_are_taken_at_the_moments_at_which_the_stream_would_have_made_them(
    tmp_path: Path, rate_hz: float | None
) -> None:
    video = portrait_video(tmp_path / "a.mp4", frames=24)
    prepare([Clip("a.mp4", video, "real")], Job(tmp_path / "store", SMALL), workers=1)
    (clip,) = open_store(tmp_path / "store").clips
    chosen = list(clip.at_rate(rate_hz))
    live = list(clip_pairs(video, SMALL, rate_hz=rate_hz))
    assert [clip.pair(i).pts_s for i in chosen] == [pair.pts_s for pair in live]
    assert [clip.pair(i).second.tobytes() for i in chosen] == [pair.second.tobytes() for pair in live]
    assert len(live) == {10.0: 9, 7.0: 7, None: 22}[rate_hz]


def test_sequences_keep_the_streams_pace_to_learn_and_to_validate(store: Store) -> None:
    # Pairs lie 0.04 s apart: 8 a second are every third.
    valid = SequenceSamples(store.clips, RGB, steps=3, rate_hz=8)
    assert [places(store, valid.sample(0, i)[0]) for i in range(len(valid))] == [[0, 3, 6]] * 12
    learned = SequenceSamples(store.clips, RGB, steps=2, augment=Augment(), seed=1, rate_hz=8)
    drawn = [places(store, learned.sample(0, i)[0]) for i in range(12)]
    assert {second - first for first, second in drawn} == {3}
    assert {first for first, _ in drawn} == {0, 1, 2, 3}


def places(store: Store, sequence: np.ndarray) -> list[int]:
    """Which pairs of their clip the pictures of a sequence are."""
    known = {fuse(c.pair(k), RGB).tobytes(): k for c in store.clips for k in range(c.pairs)}
    return [known[image.tobytes()] for image in sequence]


def test_the_recipe_takes_its_sequences_from_a_store(tmp_path: Path) -> None:
    store = open_store(small_store(tmp_path / "store", pairs=24))
    recipe = replace(read_recipe("cnn-lstm"), valid_share=0.3, test_share=0.0)
    parts = open_parts(store.folder, recipe)
    assert parts.contract.memory == 128 and parts.contract.size == SMALL.size
    sequence, _ = parts.train.sample(0, 0)
    assert sequence.shape == (8, SMALL.size, SMALL.size, 3) and len(parts.valid) > 0


@pytest.mark.parametrize("options", [{"steps": 0}, {"rate_hz": -1}, {"rate_hz": "all"}, {"rate_hz": float("nan")}])
def test_impossible_steps_and_rates_are_refused(store: Store, options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=rf"options.{next(iter(options))}"):
        samples(store.folder, SMALL, "train", Recipe(options=options))


def test_a_network_with_a_memory_is_judged_on_a_store_at_the_streams_pace(store: Store) -> None:
    class Steps:
        contract = replace(RGB, memory=2)

        def __call__(self, images: Sequence[Image]) -> NDArray[np.float32]:
            return np.zeros(len(images), np.float32)

        def step(self, images: Sequence[Image], states: States) -> tuple[NDArray[np.float32], States]:
            return self(images), states

    (told,) = score_stored(store.clips[:1], Steps())
    assert told.times_s.tolist() == [store.clips[0].pair(i).pts_s for i in store.clips[0].at_rate(10)]
    assert 1 < len(told.times_s) < store.clips[0].pairs
