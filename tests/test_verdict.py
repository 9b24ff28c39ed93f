"""stream.verdict: what is said of a face, when it is taken back, and why."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import pytest

from stream.contract import Contract, Thresholds
from stream.records import Image, Reason, State, Verdict
from stream.verdict import Limits, Window, decide
from tests.scenes import frame, pair, pattern, scores, track

CONTRACT = Contract(size=64, window_s=3.0, min_pairs=8)
NARROW = Thresholds(fake_enter=0.7, fake_leave=0.6, real_enter=0.3, real_leave=0.4)


def watch(
    window: Window,
    values: Sequence[float | None],
    start: int = 0,
    crop: Image | None = None,
    side: float = 96,
    fps: float = 25.0,
    since_s: float = 0.0,
) -> list[Verdict]:
    """One face, frame by frame: a pair with this score, or none; its verdicts."""
    out = []
    for i, value in enumerate(values, start):
        shown = frame(i, fps=fps)
        made = [] if value is None else [pair(shown.pts_s, crop)]
        told = track(since_s=since_s, now_s=shown.pts_s, side=side)
        out += window.update(shown, [told], made, scores(*([] if value is None else [value])))
    return out


@pytest.mark.parametrize(
    ("p_fake", "before", "after"),
    [
        (0.7, State.UNSURE, State.FAKE),
        (0.69, State.UNSURE, State.UNSURE),
        (0.6, State.FAKE, State.FAKE),
        (0.59, State.FAKE, State.UNSURE),
        (0.3, State.UNSURE, State.REAL),
        (0.31, State.UNSURE, State.UNSURE),
        (0.4, State.REAL, State.REAL),
        (0.41, State.REAL, State.UNSURE),
        (0.7, State.REAL, State.FAKE),
        (0.3, State.FAKE, State.REAL),
        (0.65, State.REAL, State.UNSURE),
    ],
)
def test_a_state_is_entered_further_out_than_it_is_left(p_fake: float, before: State, after: State) -> None:
    assert decide(p_fake, NARROW, before) is after


def test_a_face_warms_up_until_it_has_enough_pairs() -> None:
    told = watch(Window(CONTRACT), [0.9] * 9)
    assert [(v.state, v.reason) for v in told[:7]] == [(State.UNSURE, Reason.WARMING_UP)] * 7
    assert [(v.state, v.reason) for v in told[7:]] == [(State.FAKE, None)] * 2
    assert [v.pairs for v in told] == list(range(1, 10))


def test_low_scores_are_real_and_middling_ones_undecided() -> None:
    assert watch(Window(CONTRACT), [0.1] * 8)[-1].state is State.REAL
    middling = watch(Window(CONTRACT), [0.5] * 8)[-1]
    assert (middling.state, middling.reason) == (State.UNSURE, Reason.UNDECIDED)


def test_p_fake_is_the_mean_of_the_windows_pairs_and_history_of_its_means() -> None:
    told = watch(Window(CONTRACT), [0.2, 0.4, None, 0.9])
    assert [v.p_fake for v in told] == [pytest.approx(p) for p in (0.2, 0.3, 0.3, 0.5)]
    assert told[-1].history == (pytest.approx(0.2), pytest.approx(0.3), pytest.approx(0.5))


def test_a_face_without_any_pair_has_no_p_fake() -> None:
    told = watch(Window(CONTRACT), [None])[0]
    assert (told.p_fake, told.pairs, told.history) == (None, 0, ())


def test_evidence_older_than_the_window_counts_no_more() -> None:
    window = Window(CONTRACT, window_s=1.0)
    told = watch(window, [0.0] * 25 + [1.0] * 26)
    assert told[24].p_fake == 0.0
    assert told[-1].p_fake == 1.0
    assert told[-1].pairs == 26


def test_the_indicator_turns_within_the_window_when_the_scores_do() -> None:
    told = watch(Window(CONTRACT), [0.1] * 100 + [0.9] * 100)
    turned = next(i for i, v in enumerate(told) if v.state is State.FAKE)
    assert 100 < turned <= 100 + 2 * 25
    assert all(v.state is State.REAL for v in told[7:100])


def test_noise_about_a_threshold_makes_no_flicker() -> None:
    noisy = np.clip(np.random.default_rng(0).normal(0.6, 0.1, 500), 0, 1)
    states = [v.state for v in watch(Window(CONTRACT), list(noisy))[50:]]
    assert sum(a is not b for a, b in pairwise(states)) <= 1


def test_a_face_that_is_too_small_is_not_judged() -> None:
    told = watch(Window(CONTRACT), [0.9] * 10, side=47)
    assert {(v.state, v.reason) for v in told} == {(State.UNSURE, Reason.TOO_SMALL)}
    assert watch(Window(CONTRACT, limits=Limits(min_face_px=40)), [0.9] * 10, side=47)[-1].state is State.FAKE


def test_a_blurred_face_is_told_and_its_pairs_are_no_evidence() -> None:
    sharp = pattern(1, (64, 64))
    blurred = np.asarray(cv2.GaussianBlur(sharp, (0, 0), 4), np.uint8)
    window = Window(CONTRACT)
    assert watch(window, [0.1] * 20, crop=sharp)[-1].state is State.REAL
    told = watch(window, [0.9] * 25, start=20, crop=blurred)
    assert (told[-1].state, told[-1].reason) == (State.UNSURE, Reason.TOO_BLURRED)
    assert told[-1].p_fake == pytest.approx(0.1)
    assert told[-1].age_s == pytest.approx(1.0)


def test_a_dark_face_is_told() -> None:
    told = watch(Window(CONTRACT), [0.9] * 10, crop=np.asarray(pattern(1, (64, 64)) // 8, np.uint8))
    assert {(v.state, v.reason, v.pairs) for v in told} == {(State.UNSURE, Reason.TOO_DARK, 0)}


def test_one_blurred_picture_among_sharp_ones_changes_nothing() -> None:
    sharp = pattern(1, (64, 64))
    window = Window(CONTRACT)
    watch(window, [0.9] * 10, crop=sharp)
    blurred = np.asarray(cv2.GaussianBlur(sharp, (0, 0), 4), np.uint8)
    told = watch(window, [0.0], start=10, crop=blurred)[0]
    assert (told.state, told.p_fake, told.pairs) == (State.FAKE, pytest.approx(0.9), 10)


def test_a_camera_slower_than_the_contract_is_told_after_some_frames() -> None:
    told = watch(Window(CONTRACT), [None] * 12, fps=5)
    assert [v.reason for v in told] == [Reason.WARMING_UP] * 8 + [Reason.FRAME_RATE] * 4


def test_a_single_late_frame_is_no_slow_camera() -> None:
    window = Window(CONTRACT)
    watch(window, [0.9] * 20)
    late = frame(30)
    assert window.update(late, [track(now_s=late.pts_s)], [], scores())[0].state is State.FAKE


def test_a_face_that_yields_too_few_pairs_is_told_after_a_window() -> None:
    told = watch(Window(CONTRACT), [0.9, *[None] * 99])
    assert told[75].reason is Reason.WARMING_UP
    assert told[76].reason is Reason.FEW_PAIRS


def test_a_verdict_whose_evidence_dries_up_is_taken_back_within_a_second() -> None:
    told = watch(Window(CONTRACT), [0.9] * 20 + [None] * 30)
    back = next(i for i, v in enumerate(told) if i > 8 and v.state is not State.FAKE)
    assert told[back].reason is Reason.FEW_PAIRS
    assert told[back].age_s == pytest.approx(0.84)


def test_every_verdict_carries_the_age_of_the_newest_picture_it_rests_on() -> None:
    told = watch(Window(CONTRACT), [0.9, None, None, 0.9])
    assert [v.age_s for v in told] == [pytest.approx(a) for a in (0.0, 0.04, 0.08, 0.0)]


def test_a_face_is_stale_within_a_second_after_the_last_frame() -> None:
    window = Window(CONTRACT)
    last = watch(window, [0.9] * 10)[-1]
    soon = window.idle(last.pts_s + 0.5)[0]
    assert (soon.state, soon.age_s, soon.pts_s) == (State.FAKE, pytest.approx(0.5), pytest.approx(0.86))
    late = window.idle(last.pts_s + 0.9)[0]
    assert (late.state, late.reason) == (State.STALE, Reason.NO_FRAMES)
    assert (late.age_s, late.p_fake, late.pairs) == (pytest.approx(0.9), pytest.approx(0.9), 10)


def test_a_frame_that_comes_after_all_ends_staleness() -> None:
    window = Window(CONTRACT)
    last = watch(window, [0.9] * 10)[-1]
    assert window.idle(last.pts_s + 0.9)[0].state is State.STALE
    assert watch(window, [0.9], start=10)[0].state is State.FAKE


def test_nothing_is_said_of_a_face_that_is_gone() -> None:
    window = Window(CONTRACT)
    watch(window, [0.9] * 10)
    assert window.update(frame(10), [], [], scores()) == []
    assert window.idle(100.0) == []


def test_a_face_that_comes_back_as_a_new_track_starts_anew() -> None:
    window = Window(CONTRACT)
    watch(window, [0.9] * 10)
    told = window.update(frame(10), [track(identity=2, since_s=0.4, now_s=0.4)], [], scores())[0]
    assert (told.reason, told.p_fake, told.history) == (Reason.WARMING_UP, None, ())


def test_every_face_has_a_verdict_of_its_own() -> None:
    window = Window(CONTRACT)
    for i in range(8):
        t = i / 25
        told = window.update(
            frame(i), [track(1, now_s=t), track(2, now_s=t)], [pair(t), pair(t, identity=2)], scores(0.9, 0.1)
        )
    assert [(v.track, v.state) for v in told] == [(1, State.FAKE), (2, State.REAL)]


def test_a_new_epoch_starts_every_window_anew() -> None:
    window = Window(CONTRACT)
    watch(window, [0.9] * 10)
    told = window.update(frame(10, epoch=1), [track(now_s=0.4)], [], scores())[0]
    assert (told.reason, told.p_fake) == (Reason.WARMING_UP, None)


def test_reset_starts_every_window_anew() -> None:
    window = Window(CONTRACT)
    watch(window, [0.9] * 100)
    window.reset()
    assert window.idle(100.0) == []
    told = watch(window, [0.1], start=100)[0]
    assert (told.reason, told.p_fake, told.pairs) == (Reason.WARMING_UP, pytest.approx(0.1), 1)


@pytest.mark.parametrize("reason", [Reason.FROZEN, Reason.LOOPED])
def test_a_picture_that_repeats_itself_is_no_evidence(reason: Reason) -> None:
    window = Window(CONTRACT)
    watch(window, [0.1] * 10)
    shown = frame(10)
    told = window.update(shown, [track(now_s=shown.pts_s)], [pair(shown.pts_s)], scores(0.1), reason)[0]
    assert (told.state, told.reason, told.p_fake, told.pairs) == (State.UNSURE, reason, None, 0)
    after = watch(window, [0.1] * 8, start=11)
    assert [v.reason for v in after] == [Reason.WARMING_UP] * 7 + [None]


def test_hysteresis_starts_over_after_a_reason_to_be_unsure() -> None:
    contract = Contract(size=64, thresholds=NARROW)
    window = Window(contract)
    assert watch(window, [0.75] * 50)[-1].state is State.FAKE
    assert watch(window, [0.5] * 25, start=50)[-1].state is State.FAKE
    small = frame(75)
    window.update(small, [track(now_s=3.0, side=40)], [], scores())
    assert watch(window, [0.66], start=76)[0].state is State.UNSURE
