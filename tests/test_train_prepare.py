"""Preparation: the live code's own pairs, by several processes, resumable, and never stopped by a bad file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from trainset import portrait_video

from stream.contract import Contract
from stream.errors import ModelError, UsageError
from stream.faces import FaceDetector, find_faces
from stream.fusion import fuse
from stream.pairing import Pairer
from stream.pipeline import pairs
from stream.records import Box, Pair
from stream.sources import read_file
from stream.tracking import Tracker
from train.dataset import StoreSamples
from train.manifest import Clip
from train.prepare import Evenly, Job, prepare, spread
from train.store import open_store, pairs_file

CONTRACT = Contract(size=64)


def clip(path: Path, label: str = "real") -> Clip:
    return Clip(path.name, path, "fake" if label == "fake" else "real", "", (path.stem,))


def pair(track: int, number: int) -> Pair:
    crop = np.full((16, 16, 3), number, np.uint8)
    return Pair(track, number / 25, 0.04, crop, crop, Box(0, 0, 9, 9), 9.0)


def numbers(found: list[Pair]) -> list[tuple[int, int]]:
    return [(p.track, int(p.first[0, 0, 0])) for p in found]


@dataclass(frozen=True)
class CrashesOn:
    """A sampling that takes its whole process down on one file, as a broken decoder would."""

    name: str
    bad: str

    def __call__(self, path: Path, contract: Contract, faces: FaceDetector) -> list[Pair]:
        if path.name == self.bad:
            os.abort()
        return [pair(1, 3)]


def test_a_training_sample_is_the_live_input_byte_for_byte(tmp_path: Path) -> None:
    video = portrait_video(tmp_path / "a.mp4")
    live = [
        fuse(ready, CONTRACT)
        for _, _, done in pairs(read_file(video), find_faces(), Tracker(), Pairer(CONTRACT))
        for ready in done
    ]
    prepare([clip(video)], Job(tmp_path / "store", CONTRACT))
    stored = StoreSamples(open_store(tmp_path / "store").clips, CONTRACT)
    assert len(stored) == len(live) > 5
    for index, image in enumerate(live):
        sample, label = stored.sample(3, index)
        assert sample.tobytes() == image.tobytes()
        assert label == 1


def test_bad_files_are_listed_and_cost_nothing_else(tmp_path: Path) -> None:
    good = portrait_video(tmp_path / "good.mp4")
    (tmp_path / "text.mp4").write_text("no video")
    clips = [clip(tmp_path / "text.mp4"), clip(good), clip(tmp_path / "gone.mp4", "fake")]
    seen: list[str] = []
    done = prepare(clips, Job(tmp_path / "store", CONTRACT, Evenly(4)), 2, lambda c: seen.append(c.name))
    assert (done.made, done.kept) == (1, 0)
    assert [bad.clip.name for bad in done.bad] == ["text.mp4", "gone.mp4"]
    assert "not a video" in done.bad[0].reason and "no file" in done.bad[1].reason
    assert sorted(seen) == ["gone.mp4", "good.mp4", "text.mp4"]
    assert [s.pairs for s in open_store(tmp_path / "store").clips] == [4]


def test_a_second_run_makes_only_what_is_missing(tmp_path: Path) -> None:
    clips = [clip(portrait_video(tmp_path / f"{name}.mp4")) for name in "ab"]
    job = Job(tmp_path / "store", CONTRACT, Evenly(2))
    prepare(clips[:1], job, 1)
    before = pairs_file(job.folder, clips[0]).stat().st_mtime_ns
    (job.folder / "pairs" / "half.npy.123.part").write_bytes(b"killed here")
    done = prepare(clips, job, 1)
    assert (done.made, done.kept, done.bad) == (1, 1, ())
    assert pairs_file(job.folder, clips[0]).stat().st_mtime_ns == before


def test_a_file_that_crashes_its_decoder_costs_one_line(tmp_path: Path) -> None:
    clips = [Clip(f"{i}.mp4", tmp_path / f"{i}.mp4", "real") for i in range(3)]
    done = prepare(clips, Job(tmp_path / "store", Contract(size=16), CrashesOn("crashing", "1.mp4")), 2)
    assert [(bad.clip.name, bad.reason) for bad in done.bad] == [
        ("1.mp4", "its decoder crashed: the file is damaged beyond reading")
    ]
    assert done.made == 2


def test_a_missing_face_model_is_one_error_before_any_work(tmp_path: Path) -> None:
    job = Job(tmp_path / "store", CONTRACT, face_model=tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="no face model"):
        prepare([clip(tmp_path / "a.mp4")], job)
    assert not (tmp_path / "store").exists()


def test_pairs_are_spread_evenly_over_the_face_that_has_most() -> None:
    two = [pair(track, number) for number in range(10) for track in ((1,) if number < 3 else (1, 2))]
    assert numbers(spread(two, None)) == [(1, n) for n in range(10)]
    assert numbers(spread(two, 4)) == [(1, 0), (1, 3), (1, 6), (1, 9)]
    assert numbers(spread(two, 1)) == [(1, 0)]
    assert numbers(spread(two[:3], 8)) == [(1, 0), (1, 1), (1, 2)]
    assert spread([], 3) == []


def test_spreading_holds_fewer_than_four_times_the_pairs_it_keeps() -> None:
    crop, alive, most = np.zeros((16, 16, 3), np.uint8), set[int](), 0

    class Counted(Pair):
        def __del__(self) -> None:
            alive.discard(id(self))

    def many() -> Iterator[Pair]:
        nonlocal most
        for number in range(1, 1001):
            one = Counted(1, number / 25, 0.04, crop, crop, Box(0, 0, 9, 9), 9.0)
            alive.add(id(one))
            most = max(most, len(alive))
            yield one

    assert len(spread(many(), 5)) == 5
    assert most <= 4 * 5 + 1


def test_a_sampling_of_no_pairs_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1 pair"):
        Evenly(0)
