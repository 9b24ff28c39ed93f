"""A machine that is too slow for every frame still makes pairs of two successive ones, and says what it scored."""

from __future__ import annotations

import numpy as np
import pytest

from stream.contract import Contract
from stream.pairing import Pairer
from stream.pictures import ArrayPicture
from stream.records import Box, Frame, Reason, Track
from stream.verdict import Window

CONTRACT = Contract(size=32)
BOX = Box.square(40, 40, 60)


def _frame(index: int, before: bool = True, epoch: int = 0) -> Frame:
    picture = ArrayPicture(np.full((80, 80, 3), index % 256, np.uint8))
    earlier = _frame(index - 1, before=False, epoch=epoch) if before and index else None
    return Frame(index, index * 0.04, picture, epoch=epoch, before=earlier)


def _track(frame: Frame) -> Track:
    return Track(1, BOX, 0.0, frame.pts_s)


def test_frames_taken_too_far_apart_are_paired_with_the_ones_before_them() -> None:
    pairer = Pairer(CONTRACT, rate_hz=10)
    made = []
    for frame in (_frame(k) for k in range(0, 100, 10)):  # 0.4 s apart, more than any pair's gap may be
        made.extend(pairer.update(frame, [_track(frame)]))
    assert [pair.pts_s for pair in made] == pytest.approx([0.4 * k for k in range(1, 10)])
    assert {round(pair.gap_s, 6) for pair in made} == {0.04}
    assert [(int(p.first[0, 0, 0]), int(p.second[0, 0, 0])) for p in made[:2]] == [(9, 10), (19, 20)]


def test_a_frame_before_of_another_epoch_makes_no_pair() -> None:
    pairer = Pairer(CONTRACT)
    frame = Frame(5, 0.2, _frame(5).picture, epoch=1, before=_frame(4, before=False, epoch=0))
    assert pairer.update(frame, [_track(frame)]) == []


def test_a_frame_that_was_taken_is_not_kept_twice() -> None:
    pairs = {}
    for before in (True, False):
        pairer = Pairer(CONTRACT)
        frames = [_frame(k, before) for k in range(1, 10)]
        pairs[before] = [(p.pts_s, p.gap_s) for f in frames for p in pairer.update(f, [_track(f)])]
    assert pairs[True][1:] == pairs[False]


def test_what_the_source_delivers_counts_as_the_frame_rate_not_what_was_taken() -> None:
    reasons = {}
    for before in (True, False):
        window = Window(CONTRACT)
        for k in range(0, 400, 10):
            frame = _frame(k, before)
            told = window.update(frame, [_track(frame)], [], np.zeros(0, np.float32))
        reasons[before] = told[0].reason
    assert reasons[False] is Reason.FRAME_RATE and reasons[True] is not Reason.FRAME_RATE
