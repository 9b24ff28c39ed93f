import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from stream.pictures import ArrayPicture
from stream.records import Box, Face, Frame, Image
from train.report.changes import BENIGN, RESAMPLED_FACE, ROBUSTNESS, ChangeFrames, at_rate, h264, half_size, hide_face

FACE = Box(60, 40, 60, 60)


class OneFace:
    """A detector that always finds the same face."""

    name = "one"

    def __call__(self, frame: Frame) -> list[Face]:
        return [Face(FACE)]


def picture(seed: int = 0, width: int = 180, height: int = 140) -> Image:
    return np.random.default_rng(seed).integers(40, 210, (height, width, 3)).astype(np.uint8)


def film(count: int = 3, rate_hz: float = 25.0) -> list[Frame]:
    return [Frame(i, i / rate_hz, ArrayPicture(picture(i))) for i in range(count)]


def changed(change: ChangeFrames, frames: Sequence[Frame]) -> list[Image]:
    return [frame.picture.bgr() for frame in change(iter(frames), OneFace())]


@pytest.mark.parametrize("name", [*ROBUSTNESS, *BENIGN])
def test_every_change_is_the_same_on_every_run_and_changes_something(name: str) -> None:
    change = {**ROBUSTNESS, **BENIGN}[name]
    frames = film(6)
    once, again = changed(change, frames), changed(change, frames)
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    before = [frame.picture.bgr() for frame in frames]
    assert len(once) != len(before) or any(not np.array_equal(a, b) for a, b in zip(once, before, strict=True))


ENCODE = """
import hashlib, sys
from pathlib import Path
import numpy as np
from stream.pictures import ArrayPicture
from stream.records import Frame
from train.report.changes import encode
noise = np.random.default_rng(0).integers(40, 210, (6, 140, 180, 3)).astype(np.uint8)
encode((Frame(i, i / 25, ArrayPicture(p)) for i, p in enumerate(noise)), Path(sys.argv[1]), 32)
print(hashlib.sha256(Path(sys.argv[1]).read_bytes()).hexdigest())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc fills fresh memory on request")
def test_an_encoding_does_not_depend_on_what_lay_in_memory(tmp_path: Path) -> None:
    # glibc fills fresh memory with the complement of this byte; x264 with mbtree read some of it.
    outputs = {
        subprocess.run(
            [sys.executable, "-c", ENCODE, str(tmp_path / "clip.h264")],
            env={**os.environ, "MALLOC_PERTURB_": fill},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        ).stdout
        for fill in ("1", "85", "255")
    }
    assert len(outputs) == 1


def test_encoding_keeps_times_and_costs_more_at_a_higher_factor() -> None:
    frames = film(5, rate_hz=12.5)
    soft = list(h264(18)(iter(frames), OneFace()))
    assert [f.pts_s for f in soft] == [f.pts_s for f in frames]
    errors = [
        np.abs(out.astype(float) - frame.picture.bgr()).mean()
        for crf in (18, 45)
        for out, frame in [(changed(h264(crf), frames)[2], frames[2])]
    ]
    assert errors[0] < errors[1]


def test_encoding_cuts_odd_sides_to_even_ones() -> None:
    frames = [Frame(0, 0.0, ArrayPicture(picture(width=33, height=21)))]
    assert changed(h264(20), frames)[0].shape == (20, 32, 3)


def test_no_frames_stay_no_frames() -> None:
    assert changed(h264(20), []) == []


def test_half_size_halves_both_sides() -> None:
    assert changed(half_size, film(1))[0].shape == (70, 90, 3)


def test_a_lower_rate_leaves_frames_out_and_keeps_the_times_of_the_others() -> None:
    kept = [frame.pts_s for frame in at_rate(10)(iter(film(15)), OneFace())]
    assert kept == pytest.approx([0, 0.12, 0.2, 0.32, 0.4, 0.52])
    slow = film(4, rate_hz=5)
    assert [f.pts_s for f in at_rate(10)(iter(slow), OneFace())] == [f.pts_s for f in slow]


def test_noise_differs_from_frame_to_frame() -> None:
    same = ArrayPicture(np.full((20, 20, 3), 128, np.uint8))
    one, other = changed(ROBUSTNESS["noise"], [Frame(0, 0.0, same), Frame(1, 0.04, same)])
    assert not np.array_equal(one, other)


def test_a_mirror_turns_left_and_right() -> None:
    assert np.array_equal(changed(BENIGN["mirror"], film(1))[0], picture(0)[:, ::-1])


def test_light_falls_and_warms() -> None:
    before = picture(0).astype(float).mean(axis=(0, 1))
    assert changed(BENIGN["low light"], film(1))[0].mean() < 0.4 * before.mean()
    blue, _, red = changed(BENIGN["warm light"], film(1))[0].astype(float).mean(axis=(0, 1)) / before
    assert blue < 0.75
    assert red > 1.1


def test_a_beauty_filter_smooths_the_face_alone() -> None:
    skin = np.clip(np.random.default_rng(1).normal(150, 8, (140, 180, 3)), 0, 255).astype(np.uint8)
    after = changed(BENIGN["beauty filter"], [Frame(0, 0.0, ArrayPicture(skin))])[0]
    assert after[60:80, 80:100].std() < 0.7 * skin[60:80, 80:100].std()
    assert np.array_equal(after[:, :20], skin[:, :20])


@pytest.mark.parametrize("name", ["blurred background", "replaced background"])
def test_another_background_leaves_the_face_as_it_is(name: str) -> None:
    before, after = picture(0), changed(BENIGN[name], film(1))[0]
    assert np.array_equal(after[55:85, 75:105], before[55:85, 75:105])
    assert np.abs(after[:20, :20].astype(float) - before[:20, :20]).mean() > 20


def test_a_resampled_face_changes_inside_its_box_alone() -> None:
    before, after = picture(0), changed(RESAMPLED_FACE, film(1))[0]
    assert not np.array_equal(after[60:80, 80:100], before[60:80, 80:100])
    outside = np.ones(before.shape[:2], bool)
    outside[40:100, 60:120] = False
    assert np.array_equal(after[outside], before[outside])


def test_a_hidden_face_leaves_the_corners() -> None:
    crop = picture(0, 70, 70)
    hidden = hide_face(crop, margin=0.2)
    assert (hidden[30:40, 30:40] == 127).all()
    assert np.array_equal(hidden[:8, :8], crop[:8, :8])
    assert np.array_equal(hidden[-8:, -8:], crop[-8:, -8:])


class NoFace:
    name = "none"

    def __call__(self, frame: Frame) -> list[Face]:
        return []


@pytest.mark.parametrize("change", [BENIGN["beauty filter"], RESAMPLED_FACE])
def test_what_happens_to_faces_does_nothing_without_one(change: ChangeFrames) -> None:
    (out,) = change(iter(film(1)), NoFace())
    assert np.array_equal(out.picture.bgr(), picture(0))
