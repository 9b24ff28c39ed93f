"""The detectors on a portrait that is free to use: one canonical box, whichever of them found it."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from stream.errors import ModelError
from stream.faces import HaarFaces, YunetFaces, find_faces
from stream.follow import Follower
from stream.pictures import ArrayPicture
from stream.records import Box, Frame

FACE = Box.square(223, 122, 120)  # forehead to chin of the astronaut, measured by hand
SHARED = Path(os.environ.get("FLOWTELL_SHARED", Path(__file__).parents[2] / "shared"))
YUNET = SHARED / "models" / "face_detection_yunet_2023mar.onnx"
needs_yunet = pytest.mark.skipif(
    not YUNET.is_file(), reason="shared/models/face_detection_yunet_2023mar.onnx is absent"
)


def _portrait(scale: float = 1.0) -> ArrayPicture:
    bgr = np.ascontiguousarray(astronaut()[..., ::-1])
    return ArrayPicture(np.asarray(cv2.resize(bgr, None, fx=scale, fy=scale), np.uint8))


def _empty() -> ArrayPicture:
    return ArrayPicture(np.full((240, 320, 3), 90, np.uint8))


@pytest.mark.parametrize("scale", [0.75, 1.0, 2.0])
def test_haar_finds_the_portrait_in_the_canonical_box_at_every_size(scale: float) -> None:
    found = HaarFaces().find(_portrait(scale))
    assert len(found) == 1 and found[0].box.overlap(FACE.scaled(scale)) > 0.7


@needs_yunet
@pytest.mark.parametrize("scale", [0.75, 1.0, 2.0])
def test_yunet_finds_the_portrait_in_the_same_box_with_landmarks(scale: float) -> None:
    found = YunetFaces(YUNET).find(_portrait(scale))
    assert len(found) == 1 and found[0].box.overlap(FACE.scaled(scale)) > 0.7
    marks = found[0].landmarks
    assert marks is not None and marks.shape == (5, 2)
    assert np.all(np.abs(marks - np.array(found[0].box.center)) < found[0].box.w / 2)


def _detectors() -> list[object]:
    return [HaarFaces, pytest.param(lambda: YunetFaces(YUNET), marks=needs_yunet)]


@pytest.mark.parametrize("make", _detectors(), ids=["haar", "yunet"])
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_a_look_near_a_face_finds_it_where_the_search_does(make: type[HaarFaces], scale: float) -> None:
    detector, picture = make(), _portrait(scale)
    box = detector.find(picture)[0].box
    x, y = box.center
    near = detector.near(picture, Box.square(x + 0.1 * box.w, y - 0.1 * box.w, 1.1 * box.w))
    assert near is not None and near.box.overlap(box) > 0.8
    if near.landmarks is not None:
        assert np.all(np.abs(near.landmarks - np.array(near.box.center)) < near.box.w / 2)


@pytest.mark.parametrize("make", _detectors(), ids=["haar", "yunet"])
@pytest.mark.parametrize("box", [Box.square(160, 120, 80), Box.square(-300, -300, 80), Box.square(2, 238, 30)])
def test_a_look_where_no_face_is_finds_none(make: type[HaarFaces], box: Box) -> None:
    assert make().near(_empty(), box) is None


def test_no_face_is_found_in_an_empty_picture() -> None:
    assert HaarFaces().find(_empty()) == []


def test_by_default_faces_are_followed_and_on_request_searched_in_every_frame() -> None:
    followed, searched = find_faces(), find_faces(every_frame=True)
    assert isinstance(followed, Follower) and followed.name == "haar"
    assert isinstance(searched, HaarFaces)


@needs_yunet
def test_a_face_model_file_gives_yunet() -> None:
    assert find_faces(YUNET).name == "yunet" and isinstance(find_faces(YUNET, every_frame=True), YunetFaces)


def test_the_portrait_is_found_and_followed_through_a_pan() -> None:
    faces = find_faces()
    bgr = np.ascontiguousarray(astronaut()[..., ::-1])
    for k in range(30):
        frame = Frame(k, k / 25, ArrayPicture(np.roll(bgr, 2 * k, axis=1)))
        found = faces(frame)
        assert len(found) == 1 and found[0].box.overlap(Box(FACE.x + 2 * k, *FACE[1:])) > 0.65, k


def test_a_missing_face_model_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="flowtell models pull yunet"):
        find_faces(tmp_path / "none.onnx")


def test_a_file_that_is_no_face_model_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bad.onnx"
    file.write_bytes(b"not a network")
    with pytest.raises(ModelError, match="not a YuNet face model"):
        find_faces(file)
