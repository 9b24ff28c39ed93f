"""stream.bench.switch: splices, turns and flips are counted as they are."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.bench.switch import draw, flips, indicator, measure, read_clips, spliced, switch, turn_s
from stream.contract import Contract
from stream.errors import DataError, UsageError
from stream.records import Face, Frame, Image, State
from tests.clips import write_clip
from tests.scenes import face, pattern

REAL, FAKE, UNSURE = State.REAL, State.FAKE, State.UNSURE
CONTRACT = Contract(size=32, input="rgb", min_pairs=4)


class Red:
    """A model that calls a red face fake."""

    contract = CONTRACT

    def __call__(self, images: Sequence[Image]) -> NDArray[np.float32]:
        return np.array([0.9 if i[..., 0].mean() > i[..., 2].mean() else 0.1 for i in images], np.float32)


class Somewhere:
    """Finds a face in the middle of every frame."""

    name = "somewhere"

    def __call__(self, frame: Frame) -> list[Face]:
        return [face(frame.picture.width / 2 - 30, frame.picture.height / 2 - 30, 60)]


def clip(path: Path, seed: int, red: bool, size: tuple[int, int] = (128, 96), frames: int = 50) -> Path:
    """A clip of one patterned picture, reddish or bluish."""
    picture = pattern(seed, size[::-1], 12)
    picture[..., 0 if red else 2] //= 3
    return write_clip(path, frames, size, picture=picture)


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    return [
        clip(tmp_path / "a.mp4", 1, red=False),
        clip(tmp_path / "b.mp4", 2, red=True, size=(96, 128)),
        clip(tmp_path / "c.mp4", 3, red=False),
    ]


def test_spliced_clips_are_one_stream_with_one_clock_and_one_size(clips: list[Path]) -> None:
    frames, starts_s = spliced(clips)
    shown = list(frames)
    assert [f.index for f in shown] == list(range(150))
    assert np.diff([f.pts_s for f in shown]) == pytest.approx(0.04, abs=1e-6)
    assert starts_s == [pytest.approx(s, abs=1e-6) for s in (0.0, 2.0, 4.0)]
    assert {(f.picture.width, f.picture.height) for f in shown} == {(128, 128)}
    assert shown[60].picture.bgr()[:, :16].max() == 0
    assert shown[60].picture.bgr()[:, 16:112].max() > 0


def test_the_time_until_the_indicator_turns_counts_from_the_splice() -> None:
    shown = [(0.0, REAL), (1.0, REAL), (1.5, UNSURE), (2.0, FAKE), (3.0, UNSURE), (3.5, REAL)]
    assert turn_s(shown, 1.0, 3.0, FAKE) == 1.0
    assert turn_s(shown, 3.0, None, REAL) == 0.5
    assert turn_s(shown, 0.0, 2.0, FAKE) is None
    assert turn_s(shown, 2.5, None, FAKE) is None


def test_a_flip_is_real_after_fake_or_fake_after_real_whatever_lies_between() -> None:
    states = [None, UNSURE, REAL, REAL, UNSURE, REAL, UNSURE, FAKE, None, FAKE, REAL]
    assert flips([(float(i), s) for i, s in enumerate(states)]) == 2
    assert flips([]) == 0


def test_a_model_that_knows_turns_the_indicator_both_ways(clips: list[Path]) -> None:
    figures = measure([clips], Red(), Somewhere)
    turns = figures["turns"]
    assert turns["real to fake"]["turned"] == turns["fake to real"]["turned"] == 1
    assert 0.3 < turns["real to fake"]["median_s"] < 1.5
    assert 0.3 < turns["fake to real"]["median_s"] < 1.5
    assert figures["unspliced"]["real"]["flips"] == figures["unspliced"]["fake"]["flips"] == 0
    assert figures["unspliced"]["real"]["minutes"] == pytest.approx(2 * 1.96 / 60, abs=0.01)


def test_a_model_that_knows_nothing_never_turns_it(clips: list[Path]) -> None:
    figures = measure([[clips[0], clips[2], clips[0]]], Red(), Somewhere)
    assert figures["turns"]["real to fake"] == {"median_s": None, "turned": 0, "each_s": [None]}


def test_the_indicator_is_that_of_the_largest_face(clips: list[Path]) -> None:
    def two(frame: Frame) -> list[Face]:
        return [face(0, 0, 50), *Somewhere()(frame)]

    two.name = "two"  # type: ignore[attr-defined]
    shown = indicator(spliced(clips[1:2])[0], Red(), two)  # type: ignore[arg-type]
    assert shown[20][1] is FAKE


def test_the_same_seed_draws_the_same_clips() -> None:
    real, fake = [Path("r1"), Path("r2")], [Path("f1"), Path("f2")]
    drawn = draw(real, fake, 5, random.Random(3))
    assert drawn == draw(real, fake, 5, random.Random(3))
    assert all(a in real and b in fake and c in real for a, b, c in drawn)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\na.mp4,real\n", "needs the columns path and label"),
        ("path,label\na.mp4,altered\n", "needs the columns path and label"),
        ("path,label\na.mp4,real\n", "at least one real and one fake"),
        ("path,label\na.mp4,real\nnone.mp4,fake\n", "names 1 files that are not there"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(tmp_path: Path, text: str, message: str) -> None:
    clip(tmp_path / "a.mp4", 1, red=False, frames=2)
    manifest = tmp_path / "clips.csv"
    manifest.write_text(text)
    with pytest.raises(DataError, match=message):
        read_clips(manifest)


def test_a_manifest_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_clips(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="at least 1"):
        switch(tmp_path / "none.csv", splices=0)


def test_the_command_writes_its_figures_as_json(tmp_path: Path, model_file: Path, clips: list[Path]) -> None:
    manifest = tmp_path / "clips.csv"
    manifest.write_text("path,label\na.mp4,real\nb.mp4,fake\nc.mp4,real\n")
    switch(manifest, model=model_file, splices=1, out=tmp_path / "out.json")
    figures = json.loads((tmp_path / "out.json").read_text())
    assert figures["turns"].keys() == {"real to fake", "fake to real"}
    assert figures["unspliced"].keys() == {"real", "fake"}
    assert figures["machine"]["cores"] >= 1
