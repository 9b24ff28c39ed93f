"""What cameras do to a verdict: each fault of the picture or its clock, and what must be said of it then."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.contract import Contract
from stream.pairing import Pairer
from stream.pictures import ArrayPicture
from stream.pipeline import judge, pairs
from stream.records import Face, Frame, Image, Reason, State, Verdict
from stream.tracking import Tracker
from tests.scenes import Faces, face, frame, pattern, scene

CONTRACT = Contract(size=32, input="rgb", min_pairs=4)


class Trusting:
    """A model that takes everyone for real."""

    contract = CONTRACT

    def __call__(self, images: Sequence[Image]) -> NDArray[np.float32]:
        return np.full(len(images), 0.1, np.float32)


def swaying(count: int, person: int | None = 1, wall: int = 100, start: int = 0) -> list[tuple[Image, list[Face]]]:
    """A person who sways at random, and where the detector finds the face."""
    chance = random.Random(f"{person} {wall} {start}")
    out, x, y = [], 112, 72
    for _ in range(count):
        x, y = min(max(x + chance.randint(-2, 2), 100), 124), min(max(y + chance.randint(-2, 2), 60), 84)
        out.append((scene(person, wall, x, y), [face(x, y)] if person is not None else []))
    return out


def said(shots: Sequence[tuple[Image, list[Face]]], times: Sequence[float] | None = None) -> list[list[Verdict]]:
    """The verdicts at each frame, every pair scored."""
    at = times or [i / 25 for i in range(len(shots))]
    frames = [Frame(i, t, ArrayPicture(p)) for i, (t, (p, _)) in enumerate(zip(at, shots, strict=True))]
    told = judge(frames, Trusting(), Faces([found for _, found in shots]), rate_hz=None)
    return [verdicts for _, verdicts in told]


def state(verdicts: Sequence[Verdict]) -> tuple[State, Reason | None] | None:
    return (verdicts[0].state, verdicts[0].reason) if verdicts else None


def test_frozen_picture_turns_a_verdict_to_unsure_within_two_seconds() -> None:
    live = swaying(50)
    told = [state(v) for v in said([*live, *[live[-1]] * 60])]
    assert told[49] == (State.REAL, None)
    assert told.index((State.UNSURE, Reason.FROZEN)) <= 50 + 2 * 25
    assert told[-1] == (State.UNSURE, Reason.FROZEN)


def test_looped_picture_turns_a_verdict_to_unsure_within_two_seconds_of_the_second_pass() -> None:
    live = swaying(75)
    told = [state(v) for v in said([*live, *live])]
    assert told[74] == (State.REAL, None)
    assert (State.UNSURE, Reason.LOOPED) not in told[:75]
    assert told.index((State.UNSURE, Reason.LOOPED)) <= 75 + 2 * 25
    assert told[-1] == (State.UNSURE, Reason.LOOPED)


def test_no_face_gives_no_verdict() -> None:
    assert said(swaying(30, person=None)) == [[]] * 30


def test_twenty_faces_get_twenty_verdicts() -> None:
    places = [(62 * (i % 5) + 2, 58 * (i // 5) + 2) for i in range(20)]
    picture = pattern(5, (240, 320), 40)
    crowd = [face(x, y, 50) for x, y in places]
    told = said([(np.roll(picture, i, axis=1), crowd) for i in range(12)])
    assert [v.track for v in told[-1]] == list(range(1, 21))
    assert {v.state for v in told[-1]} == {State.REAL}


def test_a_face_that_leaves_is_gone_within_a_second_and_starts_anew_when_it_comes_back() -> None:
    there, away = swaying(20), swaying(30, person=None)
    told = said([*there, *away, *swaying(20, start=1)])
    assert state(told[19]) == (State.REAL, None)
    assert told[20 + 25] == []
    back = [v[0] for v in told[50:] if v]
    assert (back[0].track, back[0].reason) == (2, Reason.WARMING_UP)
    assert back[-1].state is State.REAL


def test_a_scene_cut_starts_a_new_window_and_no_pair_reaches_across_it() -> None:
    shots = [*swaying(20, person=1, wall=100), *swaying(20, person=2, wall=200)]
    frames = [frame(i, p) for i, (p, _) in enumerate(shots)]
    made = [p for _, _, ps in pairs(frames, Faces([f for _, f in shots]), Tracker(), Pairer(CONTRACT)) for p in ps]
    cut_s = 20 / 25
    assert not [p for p in made if p.pts_s - p.gap_s < cut_s <= p.pts_s]
    assert {p.track for p in made if p.pts_s < cut_s} == {1}
    assert {p.track for p in made if p.pts_s >= cut_s} == {2}
    told = said(shots)
    assert told[20] == []
    after = [v[0] for v in told[20:] if v]
    assert after[0].reason is Reason.WARMING_UP


def test_another_person_in_the_same_place_starts_a_new_window() -> None:
    shots = [*swaying(20, person=1), *swaying(20, person=2)]
    told = said([(p, [face()]) for p, _ in shots])
    assert {v.track for vs in told[:20] for v in vs} == {1}
    assert {v.track for vs in told[20:] for v in vs} == {2}


@pytest.mark.parametrize("jump_s", [3600.0, -0.5])
def test_a_clock_that_jumps_makes_no_pair_across_the_jump_and_starts_anew(jump_s: float) -> None:
    times = [10 + i / 25 for i in range(20)] + [10 + jump_s + (20 + i) / 25 for i in range(20)]
    told = said(swaying(40), times)
    assert state(told[19]) == (State.REAL, None)
    assert told[20] == []
    back = [v[0] for v in told[20:] if v]
    assert (back[0].track, back[0].pairs, back[0].reason) == (2, 1, Reason.WARMING_UP)
    assert back[-1].state is State.REAL


def test_a_clock_that_stands_still_makes_no_pair_and_no_verdict() -> None:
    assert not [v for vs in said(swaying(20), [1.0] * 20) for v in vs if v.pairs]


def test_a_gap_in_time_makes_no_pair_across_it() -> None:
    times = [i / 25 for i in range(20)] + [0.4 + i / 25 for i in range(20, 40)]
    shots = swaying(40)
    frames = [Frame(i, t, ArrayPicture(p)) for i, (t, (p, _)) in enumerate(zip(times, shots, strict=True))]
    made = [p for _, _, ps in pairs(frames, Faces([f for _, f in shots]), Tracker(), Pairer(CONTRACT)) for p in ps]
    assert max(p.gap_s for p in made) == pytest.approx(0.04)


def test_a_new_epoch_starts_a_new_window() -> None:
    shots = swaying(40)
    frames = [Frame(i, i / 25, ArrayPicture(p), epoch=i // 20) for i, (p, _) in enumerate(shots)]
    told = [v for _, v in judge(frames, Trusting(), Faces([f for _, f in shots]), rate_hz=None)]
    assert state(told[19]) == (State.REAL, None)
    assert told[20] == []
    assert next(v[0] for v in told[20:] if v).pairs == 1


def test_a_new_size_starts_a_new_window() -> None:
    shots = [*swaying(20), *[(np.repeat(p, 2, axis=1), f) for p, f in swaying(20)]]
    told = said(shots)
    assert told[20] == []
    assert {v.track for vs in told[20:] for v in vs} == {2}


def test_after_a_stall_of_the_detector_a_verdict_rests_on_frames_at_most_one_interval_old() -> None:
    times = [i / 25 for i in range(20)] + [5 + i / 25 for i in range(20)]
    told = said(swaying(40), times)
    rested = [v[0] for v in told[20:] if v and v[0].pairs]
    assert all(v.age_s <= 0.04 + 1e-9 for v in rested)
    assert all(v.state is not State.REAL or v.pairs <= 20 for v in rested)


def test_a_camera_too_slow_for_the_model_is_told_as_such() -> None:
    told = said(swaying(30), [i / 5 for i in range(30)])
    assert state(told[-1]) == (State.UNSURE, Reason.FRAME_RATE)
