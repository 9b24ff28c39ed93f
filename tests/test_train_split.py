"""Splits: nobody is in two parts, and every part has both classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.errors import DataError, UsageError
from train.manifest import Clip
from train.split import refuse_shared, shared_people, split


def clip(number: int, fake: bool, *identities: str, pair: str = "") -> Clip:
    return Clip(f"{number}.mp4", Path(f"{number}.mp4"), "fake" if fake else "real", "", identities, pair)


def people(count: int) -> list[Clip]:
    return [clip(i, bool(i % 2), f"p{i // 2}") for i in range(2 * count)]


def test_nobody_is_in_two_parts_and_the_shares_are_met() -> None:
    parts = split(people(100)).parts
    assert [len(parts[name]) for name in ("train", "valid", "test")] == [140, 40, 20]
    assert not shared_people(parts["train"], parts["valid"])
    assert not shared_people(parts["train"], parts["test"])
    assert not shared_people(parts["valid"], parts["test"])
    assert sorted(c.name for part in parts.values() for c in part) == sorted(c.name for c in people(100))


def test_a_split_repeats_itself_and_another_seed_gives_another() -> None:
    assert split(people(20), seed=1) == split(people(20), seed=1)
    assert split(people(20), seed=1) != split(people(20), seed=2)


def test_a_fake_of_two_people_keeps_both_in_its_part() -> None:
    clips = [*people(20), clip(100, True, "p0", "p7"), clip(101, True, "p7", "p12")]
    for seed in range(5):
        parts = split(clips, seed=seed).parts
        homes = {name for name, part in parts.items() for c in part if set(c.identities) & {"p0", "p7", "p12"}}
        assert len(homes) == 1


def test_paired_clips_stay_together_whoever_they_show() -> None:
    clips = [*people(20), clip(100, False, "ann", pair="v"), clip(101, True, "bob", pair="v")]
    for seed in range(5):
        assert not shared_people(*list(split(clips, {"train": 1, "valid": 1}, seed).parts.values()))


def test_where_everybody_is_swapped_with_everybody_crossing_fakes_can_be_left_out() -> None:
    real = [clip(i, False, f"p{i}") for i in range(10)]
    fake = [clip(100 + 10 * i + j, True, f"p{i}", f"p{j}") for i in range(10) for j in range(10) if i != j]
    with pytest.raises(DataError, match="holds no"):
        split([*real, *fake], {"train": 7, "valid": 3})
    made = split([*real, *fake], {"train": 7, "valid": 3}, drop_crossing=True)
    assert not shared_people(made.parts["train"], made.parts["valid"])
    assert len(made.crossing) + sum(map(len, made.parts.values())) == 100
    assert all(c.fake for c in made.crossing)


def test_a_person_or_video_that_only_fakes_show_second_is_in_one_part_too() -> None:
    real = [clip(i, False, f"p{i}") for i in range(10)]
    fake = [clip(100 + 10 * k + i, True, f"p{i}", *who) for i in range(10) for k, who in enumerate([("donor",), ()])]
    fake += [clip(200 + i, True, f"p{i}", pair="v") for i in range(10)]
    parts = split([*real, *fake], {"train": 1, "valid": 1}, drop_crossing=True).parts
    assert not shared_people(parts["train"], parts["valid"])


def test_a_part_without_a_class_is_one_clear_error() -> None:
    with pytest.raises(DataError, match="the part 'test' of the split holds no"):
        split(people(2))


def test_shares_must_be_positive() -> None:
    with pytest.raises(UsageError, match="must be positive"):
        split(people(3), {"train": 1, "valid": 0})


def test_parts_that_share_people_are_refused_by_name() -> None:
    with pytest.raises(DataError, match="train and valid share p1 and 1 more"):
        refuse_shared(people(3), people(5)[2:6], "train and valid")
