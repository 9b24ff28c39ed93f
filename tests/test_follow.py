"""Faces followed between detections: where a face went, when the detector runs, and what a lost face does."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stream.follow import Cadence, Follower, follow
from stream.pictures import ArrayPicture, Picture
from stream.records import Box, Face, Frame

W, H, SIDE = 320, 240, 80


def _texture(side: int = SIDE, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth blobs, which flow can follow as it follows a face."""
    rough = np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(rough, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def _scene(x: int, y: int, side: int = SIDE, seed: int = 0) -> NDArray[np.uint8]:
    gray = np.full((H, W), 90, np.uint8)
    gray[y : y + side, x : x + side] = cv2.resize(_texture(seed=seed), (side, side), interpolation=cv2.INTER_AREA)
    return gray


def _frame(index: int, gray: NDArray[np.uint8], pts_s: float | None = None, epoch: int = 0) -> Frame:
    picture = ArrayPicture(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR))
    return Frame(index, index * 0.04 if pts_s is None else pts_s, picture, epoch=epoch)


class _Scripted:
    """A detector that sees what the test put there, and counts how often it is asked."""

    name = "scripted"

    def __init__(self, *boxes: Box) -> None:
        self.boxes = list(boxes)
        self.searches: list[int] = []
        self.looks = 0

    def __call__(self, frame: Frame) -> list[Face]:
        self.searches.append(frame.index)
        return [Face(box) for box in self.boxes]

    def near(self, picture: Picture, box: Box) -> Face | None:
        self.looks += 1
        return next((Face(b) for b in self.boxes if b.overlap(box) > 0.3), None)


def test_a_shifted_face_is_followed_to_within_a_tenth_of_a_pixel() -> None:
    box = follow(_scene(100, 60), _scene(105, 57), Box.square(140, 100, SIDE))
    assert box is not None
    assert box.center == pytest.approx((145, 97), abs=0.1) and box.w == pytest.approx(SIDE, rel=0.003)


def test_a_growing_face_grows_its_box() -> None:
    box = follow(_scene(100, 60), _scene(98, 58, side=84), Box.square(140, 100, SIDE))
    assert box is not None and box.w == pytest.approx(84, rel=0.01)


def test_a_large_face_is_followed_as_well_as_a_small_one() -> None:
    first = cv2.resize(_scene(100, 60), (3 * W, 3 * H))
    second = cv2.resize(_scene(102, 61), (3 * W, 3 * H))
    box = follow(first, second, Box.square(420, 300, 3 * SIDE))
    assert box is not None and box.center == pytest.approx((426, 303), abs=0.5)


def test_flow_does_not_tell_where_another_scene_begins() -> None:
    assert follow(_scene(100, 60), _scene(100, 60, seed=9), Box.square(140, 100, SIDE)) is None


def test_a_box_that_has_left_the_picture_is_lost() -> None:
    assert follow(_scene(100, 60), _scene(100, 60), Box.square(-200, 100, SIDE)) is None


def test_a_sure_face_is_shown_on_every_frame_though_the_detector_runs_seldom() -> None:
    detector = _Scripted(Box.square(140, 100, SIDE))
    follower = Follower(detector)
    shown = [follower(_frame(k, _scene(100, 60))) for k in range(75)]  # 3 s
    assert [len(faces) for faces in shown] == [1] * 75
    # whole pictures at 0 s and every 1.5 s; looks: two to become sure, then twice a second
    assert len(detector.searches) == 2 and detector.looks <= 8


def test_a_moving_face_is_followed_between_detections() -> None:
    detector = _Scripted(Box.square(60, 60, SIDE))
    follower = Follower(detector, Cadence(confirm=1, check_s=100, search_s=100))
    for k in range(20):
        faces = follower(_frame(k, _scene(20 + 3 * k, 20 + k)))
    assert detector.searches == [0] and detector.looks == 0
    assert faces[0].box.center == pytest.approx((60 + 57, 60 + 19), abs=0.7)


def test_a_false_alarm_is_never_followed() -> None:
    detector = _Scripted(Box.square(140, 100, SIDE))
    follower = Follower(detector)
    assert len(follower(_frame(0, _scene(100, 60)))) == 1
    detector.boxes.clear()
    assert [len(follower(_frame(k, _scene(100, 60)))) for k in range(1, 10)] == [0] * 9


def test_a_face_that_is_gone_is_shown_no_more_at_once() -> None:
    detector = _Scripted(Box.square(140, 100, SIDE))
    follower = Follower(detector)
    for k in range(10):
        follower(_frame(k, _scene(100, 60)))
    detector.boxes.clear()
    empty = np.full((H, W), 90, np.uint8)
    assert [follower(_frame(k, empty)) for k in range(10, 60)] == [[]] * 50


def test_a_face_that_the_detector_misses_for_a_moment_stays() -> None:
    detector = _Scripted(Box.square(140, 100, SIDE))
    follower = Follower(detector, Cadence(search_s=100))
    for k in range(10):
        follower(_frame(k, _scene(100, 60)))
    boxes, detector.boxes = detector.boxes, []
    missed = [len(follower(_frame(k, _scene(100, 60)))) for k in range(10, 30)]
    detector.boxes = boxes
    assert missed == [1] * 20 and len(follower(_frame(30, _scene(100, 60)))) == 1


def test_a_face_that_the_detector_disowns_is_given_up_though_the_flow_holds_it() -> None:
    detector = _Scripted(Box.square(140, 100, SIDE))
    follower = Follower(detector, Cadence(give_up_s=1.0))
    for k in range(10):
        follower(_frame(k, _scene(100, 60)))
    detector.boxes.clear()
    shown = [len(follower(_frame(k, _scene(100, 60)))) for k in range(10, 60)]
    assert shown[-1] == 0 and shown == sorted(shown, reverse=True)


def test_a_new_face_is_found_beside_a_sure_one_within_the_search_time() -> None:
    one, two = Box.square(60, 100, SIDE), Box.square(220, 100, SIDE)
    both = _scene(20, 60)
    both[60:140, 180:260] = _texture(seed=3)
    detector = _Scripted(one)
    follower = Follower(detector, Cadence(search_s=1.5))
    for k in range(10):
        follower(_frame(k, both))
    detector.boxes.append(two)
    counts = [len(follower(_frame(k, both))) for k in range(10, 40)]
    assert counts[-1] == 2 and counts.index(2) + 10 == 38  # 1.5 s after the search at frame 0, at 0.04 s a frame


@pytest.mark.parametrize(
    "second",
    [
        _frame(1, _scene(100, 60), epoch=1),
        _frame(1, _scene(100, 60), pts_s=0.0),
        _frame(1, _scene(100, 60), pts_s=-1.0),
        _frame(1, _scene(100, 60), pts_s=1.1),
        _frame(1, cv2.resize(_scene(100, 60), (2 * W, 2 * H))),
    ],
    ids=["epoch", "same time", "backward", "gap", "size"],
)
def test_nothing_is_followed_across_a_break(second: Frame) -> None:
    detector = _Scripted(Box.square(140, 100, SIDE))
    follower = Follower(detector)
    follower(_frame(0, _scene(100, 60)))
    follower(second)
    assert detector.searches == [0, 1] and detector.looks == 0


def test_across_a_gap_a_known_face_is_looked_for_where_it_was() -> None:
    detector = _Scripted(Box.square(140, 100, SIDE))
    follower = Follower(detector)
    follower(_frame(0, _scene(100, 60)))
    detector.boxes = [Box.square(150, 100, SIDE)]
    found = follower(_frame(1, _scene(110, 60), pts_s=0.2))
    assert detector.searches == [0] and detector.looks == 1
    assert found[0].box == Box.square(150, 100, SIDE)  # the detection as it is: no flow says where the mean lies


def test_reset_searches_the_next_frame_whole() -> None:
    detector = _Scripted(Box.square(140, 100, SIDE))
    follower = Follower(detector)
    follower(_frame(0, _scene(100, 60)))
    follower.reset()
    follower(_frame(1, _scene(100, 60)))
    assert detector.searches == [0, 1]


def test_the_same_frames_give_the_same_boxes() -> None:
    runs = []
    for _ in range(2):
        follower = Follower(_Scripted(Box.square(60, 60, SIDE)))
        runs.append([follower(_frame(k, _scene(20 + 2 * k, 20 + k))) for k in range(30)])
    assert runs[0] == runs[1]
