"""Samples: a function of (epoch, index) alone, in an order that balances what it says it balances."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from trainset import SMALL, small_store

from stream.fusion import fuse
from train.augment import Augment
from train.dataset import ALTERED, ORIGINAL, StoreSamples
from train.store import Store, open_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(small_store(tmp_path_factory.mktemp("data") / "store", clips=6, pairs=5))


def test_validation_goes_once_through_every_pair_in_order(store: Store) -> None:
    samples = StoreSamples(store.clips, SMALL)
    assert len(samples) == 30
    assert [samples.where(9, i) for i in range(30)] == [(c, p) for c in range(6) for p in range(5)]
    image, label = samples.sample(9, 7)
    assert image.tobytes() == fuse(store.clips[1].pair(2), SMALL).tobytes()
    assert label == ALTERED
    assert samples.sample(0, 0)[1] == ORIGINAL


@pytest.mark.parametrize("form", ["fused", "rgb", "flow", "stack"])
def test_unaugmented_training_samples_are_fuses_own_bytes(store: Store, form: str) -> None:
    contract = replace(SMALL, input=form)
    samples = StoreSamples(store.clips, contract, Augment())
    clip, pair = samples.where(1, 3)
    assert samples.sample(1, 3)[0].tobytes() == fuse(store.clips[clip].pair(pair), contract).tobytes()


def test_an_epoch_shuffles_every_pair_and_each_epoch_otherwise(store: Store) -> None:
    samples = StoreSamples(store.clips, SMALL, Augment())
    orders = [[samples.where(epoch, i) for i in range(30)] for epoch in (0, 1)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == [(c, p) for c in range(6) for p in range(5)]


def test_a_sample_is_the_same_whenever_and_wherever_it_is_made(store: Store) -> None:
    options = Augment(0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5)
    one = StoreSamples(store.clips, SMALL, options, seed=4)
    one.sample(7, 1)
    other = pickle.loads(pickle.dumps(one))
    for index in (11, 3):
        assert one.sample(2, index)[0].tobytes() == other.sample(2, index)[0].tobytes()
    assert one.sample(2, 3)[0].tobytes() != one.sample(3, 3)[0].tobytes()
    assert StoreSamples(store.clips, SMALL, options, seed=5).where(0, 0) is not None


def test_balanced_by_class_fake_and_real_take_turns_whatever_their_number(store: Store) -> None:
    few = [c for c in store.clips if c.clip.fake or c.clip.name == "0.mp4"]
    samples = StoreSamples(few, SMALL, Augment(), "class")
    assert len(samples) == 20
    labels = [samples.sample(0, i)[1] for i in range(20)]
    assert labels == [ALTERED, ORIGINAL] * 10
    drawn = [few[samples.where(0, i)[0]].clip.name for i in range(0, 18, 2)]
    assert all(drawn.count(name) == 3 for name in ("1.mp4", "3.mp4", "5.mp4"))


def test_balanced_by_pair_each_fake_comes_with_its_own_original_at_the_same_moment(store: Store) -> None:
    samples = StoreSamples(store.clips, SMALL, Augment(), "pair")
    for i in range(0, 30, 2):
        (fake, at), (real, same) = samples.where(3, i), samples.where(3, i + 1)
        assert store.clips[fake].clip.fake and not store.clips[real].clip.fake
        assert store.clips[fake].clip.pair == store.clips[real].clip.pair
        assert at == same


def test_a_fake_without_its_original_gets_another_real_clip(store: Store) -> None:
    lonely = [c for c in store.clips if c.clip.name in ("0.mp4", "3.mp4")]
    samples = StoreSamples(lonely, SMALL, Augment(), "pair")
    assert [samples.where(0, i)[0] for i in range(10)] == [1, 0] * 5


def test_the_order_differs_from_the_augmentations_randomness(store: Store) -> None:
    samples = StoreSamples(store.clips, SMALL, Augment(noise=1.0))
    clip, pair = samples.where(0, 0)
    assert not np.array_equal(samples.sample(0, 0)[0], fuse(store.clips[clip].pair(pair), SMALL))
