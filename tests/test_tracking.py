"""stream.tracking: one face is one track, another face never is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from stream.records import Box, Face, Image, Track
from stream.tracking import Tracker
from tests.scenes import FACE_PX, face, frame, scene

STILL = [face()]


def run(tracker: Tracker, found: Sequence[Sequence[Face]], shown: Sequence[Image] | None = None) -> list[list[Track]]:
    return [tracker.update(frame(i, shown[i] if shown else None), faces) for i, faces in enumerate(found)]


def ids(told: Sequence[Sequence[Track]]) -> list[list[int]]:
    return [[t.id for t in tracks] for tracks in told]


def test_a_face_is_told_from_its_third_detection_on() -> None:
    assert ids(run(Tracker(), [STILL] * 5)) == [[], [], [1], [1], [1]]


def test_a_false_alarm_of_one_frame_is_never_told() -> None:
    blink = [face(), face(10, 10, 40)]
    assert ids(run(Tracker(), [STILL, blink, STILL, STILL, STILL])) == [[], [], [1], [1], [1]]


def test_a_face_that_is_missed_keeps_its_track_and_is_told_as_not_seen() -> None:
    told = run(Tracker(), [STILL] * 3 + [[]] * 5 + [STILL])
    assert ids(told) == [[], []] + [[1]] * 7
    assert [t[0].seen for t in told[2:]] == [True] + [False] * 5 + [True]
    assert told[7][0].last_s == 2 / 25
    assert told[-1][0].first_s == 0.0


def test_a_face_is_gone_after_six_tenths_of_a_second() -> None:
    told = run(Tracker(), [STILL] * 3 + [[]] * 17)
    assert ids(told)[16] == [1]  # last seen at 0.08 s, now 0.64 s
    assert ids(told)[18] == []


def test_a_face_that_comes_back_later_is_a_new_track() -> None:
    told = run(Tracker(), [STILL] * 3 + [[]] * 20 + [STILL] * 3)
    assert ids(told)[-1] == [2]
    assert told[-1][0].first_s == 23 / 25


def test_the_box_follows_its_face_with_the_time_constants_that_were_given() -> None:
    tracker = Tracker(min_hits=1, center_tau_s=0.08, size_tau_s=0.4)
    tracker.update(frame(0), [face(100, 100, 80)])
    box = tracker.update(frame(1), [face(110, 100, 90)])[0].box
    place, size = 1 - math.exp(-0.04 / 0.08), 1 - math.exp(-0.04 / 0.4)
    assert box.w == box.h == pytest.approx(80 + size * 10)
    assert box.center == (pytest.approx(140 + place * 15), pytest.approx(140 + place * 5))


def test_the_box_is_smoothed_by_time_and_not_by_counting_frames() -> None:
    slow, quick = Tracker(min_hits=1), Tracker(min_hits=1)
    for tracker, steps in ((slow, [5]), (quick, [1, 2, 3, 4, 5])):
        tracker.update(frame(0), [face(100, 100)])
        for index in steps:
            told = tracker.update(frame(index), [face(110, 100)])
        assert told[0].box.x == pytest.approx(100 + 10 * (1 - math.exp(-0.2 / 0.08)))


def test_two_faces_that_pass_each_other_keep_their_tracks() -> None:
    wall = scene(person=None)
    found = [[face(20 + 4 * i, 20, 60), face(220 - 4 * i, 150, 60)] for i in range(20)]
    told = run(Tracker(), found, [wall] * 20)
    assert ids(told)[-1] == [1, 2]
    assert told[-1][0].box.x < told[-1][0].box.y + 200
    assert told[-1][0].box.y == pytest.approx(20)
    assert told[-1][1].box.y == pytest.approx(150)


def test_twenty_faces_are_twenty_tracks() -> None:
    crowd = [face(60 * (i % 5), 55 * (i // 5), 48) for i in range(20)]
    told = run(Tracker(), [crowd, crowd[::-1], crowd])
    assert ids(told)[-1] == list(range(1, 21))
    assert {t.box for t in told[-1]} == {f.box for f in crowd}


def test_another_person_in_the_same_box_is_a_new_track() -> None:
    told = run(Tracker(), [STILL] * 12, [scene(person=1)] * 6 + [scene(person=2)] * 6)
    assert ids(told) == [[], [], [1], [1], [1], [1], [], [], [2], [2], [2], [2]]
    assert told[-1][0].first_s == 6 / 25


def test_a_scene_cut_ends_every_track() -> None:
    told = run(Tracker(), [[face(), face(10, 10, 60)]] * 5 + [[]], [scene()] * 5 + [scene(7, wall=8)])
    assert ids(told) == [[], [], [1, 2], [1, 2], [1, 2], []]


def test_a_new_epoch_forgets_every_track_and_uses_no_id_twice() -> None:
    tracker = Tracker(min_hits=1)
    assert [t.id for t in tracker.update(frame(0), STILL)] == [1]
    assert [t.id for t in tracker.update(frame(1, epoch=1), STILL)] == [2]


def test_time_that_runs_back_forgets_every_track() -> None:
    tracker = Tracker(min_hits=1)
    assert [t.id for t in tracker.update(frame(9), STILL)] == [1]
    assert [t.id for t in tracker.update(frame(3), STILL)] == [2]


def test_reset_forgets_every_track() -> None:
    tracker = Tracker(min_hits=1)
    tracker.update(frame(0), STILL)
    tracker.reset()
    assert [t.id for t in tracker.update(frame(1), STILL)] == [2]


def test_faces_that_do_not_overlap_are_different_tracks() -> None:
    tracker = Tracker(min_hits=1)
    tracker.update(frame(0), STILL)
    assert [t.id for t in tracker.update(frame(1), [face(112 + FACE_PX, 72)])] == [1, 2]


def test_a_track_takes_the_face_that_overlaps_it_most() -> None:
    tracker = Tracker(min_hits=1)
    tracker.update(frame(0), [face(100, 100)])
    near, far = face(105, 100), face(130, 100)
    told = tracker.update(frame(1), [far, near])
    assert [t.id for t in told] == [1, 2]
    assert told[0].box.x < 105
    assert told[1].box == Box(130, 100, FACE_PX, FACE_PX)
