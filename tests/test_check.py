"""Recorded files: the face with the most pairs speaks, nothing is dropped, and doubts are told with their reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.check import check_file
from stream.contract import Contract, Thresholds
from stream.errors import SourceBroken, SourceNotFound
from stream.records import Box, Face, Frame, Image, Reason, State
from tests.clips import write_clip

LEFT, RIGHT = Face(Box(10, 10, 50, 50)), Face(Box(120, 10, 50, 50))


class Says:
    """A model that gives one score, and counts what it was asked."""

    def __init__(self, p_fake: float, **contract: object) -> None:
        self.contract = Contract(size=32, **{"min_pairs": 4, **contract})  # type: ignore[arg-type]
        self.asked = 0
        self._p_fake = p_fake

    def __call__(self, images: Sequence[Image]) -> NDArray[np.float32]:
        self.asked += len(images)
        return np.full(len(images), self._p_fake, np.float32)


class Finds:
    """A detector that finds what a function of the time says."""

    name = "finds"

    def __init__(self, faces: Callable[[float], list[Face]]) -> None:
        self._faces = faces

    def __call__(self, frame: Frame) -> list[Face]:
        return self._faces(frame.pts_s)


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 s of one picture at 25 frames a second."""
    picture = np.random.default_rng(3).integers(60, 200, (90, 200, 3), dtype=np.uint8)
    return write_clip(tmp_path_factory.mktemp("check") / "still.mp4", 50, (200, 90), picture=picture)


def test_every_pair_is_scored_when_asked_for(still: Path) -> None:
    model = Says(0.9)
    told = check_file(still, model, Finds(lambda t: [LEFT]), rate_hz=None)
    assert told.pairs == model.asked == 48  # of 50 frames: a face is told from the third on
    assert (told.verdict, told.reason, told.p_fake) == (State.FAKE, None, pytest.approx(0.9))


def test_the_default_rate_scores_ten_pairs_a_second(still: Path) -> None:
    assert check_file(still, Says(0.1), Finds(lambda t: [LEFT])).pairs == pytest.approx(20, abs=1)


def test_the_face_with_the_most_pairs_speaks_for_the_file(still: Path) -> None:
    told = check_file(still, Says(0.1), Finds(lambda t: [LEFT, RIGHT] if t < 0.8 else [RIGHT]), rate_hz=None)
    assert [track.track for track in told.tracks] == [1, 2]
    assert told.tracks[0].pairs < told.tracks[1].pairs == told.pairs
    assert told.tracks[1].first_s == 0.0 and told.tracks[1].last_s == pytest.approx(1.96)
    assert told.tracks[0].last_s == pytest.approx(0.76)
    assert told.verdict is State.REAL


def test_a_mean_between_the_thresholds_is_undecided(still: Path) -> None:
    told = check_file(still, Says(0.5, thresholds=Thresholds(0.6, 0.55, 0.4, 0.45)), Finds(lambda t: [LEFT]))
    assert (told.verdict, told.reason) == (State.UNSURE, Reason.UNDECIDED)


def test_too_few_pairs_give_no_verdict_but_their_mean(still: Path) -> None:
    told = check_file(still, Says(0.9, min_pairs=40), Finds(lambda t: [LEFT]))
    assert (told.verdict, told.reason, told.p_fake) == (State.UNSURE, Reason.FEW_PAIRS, pytest.approx(0.9))


def test_a_file_without_a_face_is_told_as_such(still: Path) -> None:
    told = check_file(still, Says(0.9), Finds(lambda t: []))
    assert (told.verdict, told.p_fake, told.pairs, told.reason, told.tracks) == (
        State.UNSURE, None, 0, Reason.NO_FACE, ()
    )  # fmt: skip


def test_frames_too_far_apart_give_the_frame_rate_as_the_reason(tmp_path: Path) -> None:
    picture = np.random.default_rng(3).integers(60, 200, (90, 200, 3), dtype=np.uint8)
    slow = write_clip(tmp_path / "slow.mp4", 20, (200, 90), fps=4, picture=picture)
    told = check_file(slow, Says(0.9), Finds(lambda t: [LEFT]), rate_hz=None)
    assert (told.p_fake, told.pairs, told.reason) == (None, 0, Reason.FRAME_RATE)


def test_every_frame_is_told_to_the_progress_bar(still: Path) -> None:
    seen: list[int] = []
    check_file(still, Says(0.9), Finds(lambda t: []), on_frame=lambda frame: seen.append(frame.index))
    assert seen == list(range(50))


def test_a_missing_file_and_a_text_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound):
        check_file(tmp_path / "none.mp4", Says(0.5))
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(SourceBroken):
        check_file(tmp_path / "text.mp4", Says(0.5))


@pytest.mark.parametrize(
    ("darker", "reason"),
    [(0.1, Reason.TOO_DARK), (1.0, Reason.FROZEN)],
)
def test_a_face_that_mostly_shows_too_little_is_unsure_but_its_mean_is_told(
    tmp_path: Path, darker: float, reason: Reason
) -> None:
    picture = np.random.default_rng(3).integers(60, 200, (90, 200, 3), dtype=np.uint8)
    clip = write_clip(tmp_path / "poor.mp4", 120, (200, 90), picture=np.asarray(picture * darker, np.uint8))
    told = check_file(clip, Says(0.9), Finds(lambda t: [LEFT] if darker == 1 or t < 1.4 else []), rate_hz=None)
    assert (told.verdict, told.reason, told.p_fake) == (State.UNSURE, reason, pytest.approx(0.9))
    assert told.tracks[0].verdict is State.UNSURE


def test_a_face_too_small_to_be_judged_is_unsure(still: Path) -> None:
    told = check_file(still, Says(0.9), Finds(lambda t: [Face(Box(10, 10, 40, 40))]), rate_hz=None)
    assert (told.verdict, told.reason) == (State.UNSURE, Reason.TOO_SMALL)
