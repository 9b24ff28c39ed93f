"""stream.repeats: frozen and looped pictures are noticed in time, still rooms and living people never are."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import av
import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from stream.pictures import ArrayPicture, VideoPicture
from stream.records import Frame, Image, Reason
from stream.repeats import Repeats, Repetition
from tests.scenes import pattern

FPS = 25
SIZE = (180, 320)
PORTRAIT = np.asarray(cv2.resize(np.ascontiguousarray(astronaut()[:288, :, ::-1]), SIZE[::-1]), np.uint8)


def talking(count: int, seed: int = 0) -> list[Image]:
    """A portrait whose head sways and whose mouth moves at random, before a wall that stands still."""
    chance = np.random.default_rng(seed)
    sway = np.cumsum(chance.normal(0, 1, (count, 2)), axis=0) * 0.5
    mouth = np.abs(np.cumsum(chance.normal(0, 2, count))) % 10
    out = []
    for (dx, dy), open_px in zip(sway, mouth, strict=True):
        picture = PORTRAIT.copy()
        move = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
        picture[30:150, 90:200] = cv2.warpAffine(
            PORTRAIT[30:150, 90:200], move, (110, 120), borderMode=cv2.BORDER_REPLICATE
        )
        cv2.ellipse(picture, (140, 95), (8, 1 + int(open_px)), 0, 0, 360, (40, 30, 90), -1)
        out.append(picture)
    return out


def noisy(pictures: Iterable[Image], deviation: float, seed: int = 9) -> Iterator[Image]:
    """The noise of a camera: new in every picture."""
    chance = np.random.default_rng(seed)
    for picture in pictures:
        yield np.clip(picture + chance.normal(0, deviation, picture.shape), 0, 255).astype(np.uint8)


def frames(pictures: Iterable[Image], fps: float = FPS) -> Iterator[Frame]:
    for i, picture in enumerate(pictures):
        yield Frame(i, i / fps, ArrayPicture(picture))


def encoded(pictures: Iterable[Image], **options: str) -> Iterator[Frame]:
    """The pictures after a real H.264 encoder and decoder."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", **options})
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        for i, frame in enumerate(container.decode(video=0)):
            yield Frame(i, i / FPS, VideoPicture(frame))


def told(shown: Iterable[Frame], repeats: Repeats | None = None) -> list[Reason | None]:
    repeats = repeats or Repeats()
    return [repeats(frame) for frame in shown]


def first(reasons: list[Reason | None], reason: Reason) -> float:
    """When something was told first, in seconds."""
    return reasons.index(reason) / FPS


def test_a_picture_that_freezes_is_told_within_two_seconds_and_not_before() -> None:
    live = talking(50)
    reasons = told(frames([*live, *[live[-1]] * 75]))
    assert reasons[:50] == [None] * 50
    assert 1.0 < first(reasons, Reason.FROZEN) - 2.0 < 2.0
    assert set(reasons[100:]) == {Reason.FROZEN}


@pytest.mark.parametrize("options", [{"crf": "23", "g": "50"}, {"crf": "30", "g": "25", "tune": "zerolatency"}])
def test_a_frozen_picture_that_a_real_encoder_goes_on_sending_is_told(options: dict[str, str]) -> None:
    live = talking(50)
    reasons = told(encoded([*live, *[live[-1]] * 75], **options))
    assert reasons[:50] == [None] * 50
    assert first(reasons, Reason.FROZEN) - 2.0 < 2.0


def test_a_frozen_picture_that_moves_again_is_believed_at_once() -> None:
    live = talking(60)
    reasons = told(frames([*live[:10], *[live[9]] * 60, *live[10:]]))
    assert reasons[69] is Reason.FROZEN
    assert reasons[72:] == [None] * len(reasons[72:])


@pytest.mark.parametrize("deviation", [1.0, 2.0, 5.0])
def test_a_still_room_with_a_cameras_noise_is_neither_frozen_nor_looped(deviation: float) -> None:
    reasons = told(frames(noisy([PORTRAIT] * 100, deviation)))
    assert set(reasons) == {None}


def test_a_still_room_with_noise_behind_a_real_encoder_is_neither_frozen_nor_looped() -> None:
    shown = encoded(noisy([PORTRAIT] * 90, 4.0), crf="23", tune="zerolatency", g="25")
    assert set(told(shown)) == {None}


def test_a_talking_head_before_a_still_wall_is_neither_frozen_nor_looped() -> None:
    assert set(told(frames(talking(500)))) == {None}


def test_a_film_of_five_pictures_a_second_in_a_stream_of_25_is_not_frozen() -> None:
    shown = [picture for picture in talking(60) for _ in range(5)]
    assert Reason.FROZEN not in told(frames(shown))


@pytest.mark.parametrize("period_s", [0.8, 4.0, 12.0])
def test_a_loop_is_told_within_two_seconds_of_its_second_pass(period_s: float) -> None:
    count = round(period_s * FPS)
    live = talking(count)
    reasons = told(frames([*live, *live, *live][: count + 100]))
    assert set(reasons[:count]) == {None}
    assert first(reasons, Reason.LOOPED) - period_s < 2.0
    assert reasons[-1] is Reason.LOOPED


def test_a_loop_of_thirty_seconds_is_told_within_two_seconds_of_its_second_pass() -> None:
    live = talking(30 * FPS)
    reasons = told(frames([*live, *live[:60]]))
    assert set(reasons[: 30 * FPS]) == {None}
    assert first(reasons, Reason.LOOPED) - 30 < 2.0


@pytest.mark.parametrize(
    "options", [{"crf": "23", "g": "61"}, {"crf": "32", "g": "37", "preset": "ultrafast", "tune": "zerolatency"}]
)
def test_a_loop_that_a_real_encoder_encodes_anew_is_told_within_two_seconds(options: dict[str, str]) -> None:
    live = talking(100)
    reasons = told(encoded([*live, *live], **options))
    assert set(reasons[:100]) == {None}
    assert first(reasons, Reason.LOOPED) - 4.0 < 2.0


def test_a_loop_filmed_by_a_camera_with_noise_is_told_within_two_seconds() -> None:
    live = talking(100)
    reasons = told(frames(noisy([*live, *live], 2.0)))
    assert set(reasons[:100]) == {None}
    assert first(reasons, Reason.LOOPED) - 4.0 < 2.0


def test_a_loop_that_gives_way_to_life_is_believed_again_within_a_second() -> None:
    live = talking(75)
    reasons = told(frames([*live, *live, *talking(100, seed=5)]))
    assert reasons[149] is Reason.LOOPED
    assert reasons[175:] == [None] * 75


def test_a_backdrop_that_repeats_behind_a_living_person_is_no_loop() -> None:
    shown = talking(300)
    for i, picture in enumerate(shown):
        picture[:, 220:] = cv2.GaussianBlur(pattern(i % 50, (180, 100)), (0, 0), 5)
    assert set(told(frames(shown))) == {None}


def test_a_new_epoch_is_compared_with_nothing_before_it() -> None:
    live = talking(100)
    shown = [Frame(i, i / FPS, ArrayPicture(p), epoch=i // 100) for i, p in enumerate([*live, *live])]
    assert set(told(shown)) == {None}


def test_the_options_say_when_a_picture_counts_as_frozen() -> None:
    reasons = told(frames([PORTRAIT] * 50), Repeats(Repetition(still_s=0.4)))
    assert first(reasons, Reason.FROZEN) == 0.4


def test_frames_of_another_rate_change_nothing() -> None:
    live = talking(60)
    reasons = told(frames([*live, *live], fps=12))
    assert reasons.index(Reason.LOOPED) / 12 - 5.0 < 2.0
    assert told(frames([PORTRAIT] * 60, fps=12)).index(Reason.FROZEN) / 12 < 2.0
