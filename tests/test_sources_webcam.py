"""Webcams, on a stand-in for OpenCV's capture: asked for the right things, and lost when they are unplugged."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from stream.errors import SourceBroken, SourceNotFound, SourceRefused
from stream.sources import LiveSource, Phase, SourceOptions, open_source
from stream.sources.base import Clock, Samples
from stream.sources.webcam import webcam_samples

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="webcams are files on Linux only")
JOIN_S = 10.0


class FakeWebcam:
    """Gives the pictures it was made with, then nothing, like a webcam that was unplugged."""

    def __init__(self, pictures: int = 3, size: tuple[int, int] = (48, 64), opens: bool = True) -> None:
        self.asked = list[tuple[int, float]]()
        self.released = False
        self._left, self._size, self._opens = pictures, size, opens

    def isOpened(self) -> bool:  # noqa: N802
        return self._opens

    def set(self, key: int, value: float, /) -> bool:
        self.asked.append((key, value))
        return True

    def read(self) -> tuple[bool, Any]:
        self._left -= 1
        return (True, np.full((*self._size, 3), self._left % 256, np.uint8)) if self._left >= 0 else (False, None)

    def release(self) -> None:
        self.released = True


def plugged(*webcams: FakeWebcam) -> LiveSource:
    """A live source whose webcam is replaced by the next one at every opening; no time passes between the tries."""
    left: Iterator[FakeWebcam] = iter(webcams)

    def connect(closed: threading.Event) -> Samples:
        webcam = next(left, None)
        if webcam is None:
            closed.wait(JOIN_S)
        else:
            yield from webcam_samples("0", SourceOptions(), closed, lambda _: webcam)

    return LiveSource("webcam 0", connect, clock=Clock(wait=lambda closed, _: closed.is_set()))


def test_a_webcam_is_asked_for_mjpg_then_the_size_then_its_highest_rate() -> None:
    webcam = FakeWebcam()
    samples = webcam_samples("0", SourceOptions(size=(640, 480)), threading.Event(), lambda _: webcam)
    picture = next(samples).picture
    assert picture is not None and (picture.width, picture.height) == (64, 48)  # what it gives, not what was asked
    assert webcam.asked[:4] == [
        (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
        (cv2.CAP_PROP_FRAME_WIDTH, 640),
        (cv2.CAP_PROP_FRAME_HEIGHT, 480),
        (cv2.CAP_PROP_FPS, 240.0),
    ]


def test_a_wanted_rate_is_asked_for_as_it_is() -> None:
    webcam = FakeWebcam()
    next(webcam_samples("0", SourceOptions(fps=15), threading.Event(), lambda _: webcam))
    assert (cv2.CAP_PROP_FPS, 15) in webcam.asked


def test_an_unplugged_webcam_is_broken_and_released() -> None:
    webcam = FakeWebcam(pictures=2)
    samples = webcam_samples("0", SourceOptions(), threading.Event(), lambda _: webcam)
    with pytest.raises(SourceBroken, match=r"webcam 0 gives no more pictures"):
        list(samples)
    assert webcam.released


def test_one_picture_that_fails_is_not_yet_the_end() -> None:
    class Hiccup(FakeWebcam):
        def read(self) -> tuple[bool, Any]:
            self._left -= 1
            return (True, np.zeros((48, 64, 3), np.uint8)) if self._left != 1 else (False, None)

    samples = webcam_samples("0", SourceOptions(), threading.Event(), lambda _: Hiccup(pictures=4))
    assert [next(samples).picture is None for _ in range(4)] == [False, False, True, False]


def test_a_webcam_plugged_in_again_is_watched_in_a_new_epoch() -> None:
    with plugged(FakeWebcam(2), FakeWebcam(2, size=(96, 128))) as source:
        with source._changed:
            assert source._changed.wait_for(lambda: source.status.frames == 4, JOIN_S)
        frame = source.next_frame(JOIN_S)
    assert frame is not None
    assert (frame.epoch, frame.picture.width) == (1, 128)


def test_closing_the_source_releases_the_webcam() -> None:
    webcam = FakeWebcam(pictures=10**9)
    connect = partial(webcam_samples, "0", SourceOptions(), open_device=lambda _: webcam)
    with LiveSource("webcam 0", connect):
        pass
    assert webcam.released


@linux
def test_no_webcam_says_which_there_are(tmp_path: Path) -> None:
    (tmp_path / "video2").touch()
    samples = webcam_samples("0", SourceOptions(), threading.Event(), lambda _: FakeWebcam(opens=False), tmp_path)
    with pytest.raises(SourceNotFound, match=r"^no webcam 0 \(this machine has: 2\): plug one in"):
        next(samples)


@linux
def test_a_busy_webcam_says_to_close_the_other_program(tmp_path: Path) -> None:
    (tmp_path / "video0").touch()
    samples = webcam_samples(
        "/dev/video0", SourceOptions(), threading.Event(), lambda _: FakeWebcam(opens=False), tmp_path
    )
    with pytest.raises(SourceRefused, match="close the program that uses it"):
        next(samples)


@linux
@pytest.mark.skipif(Path("/dev/video97").exists(), reason="this machine has a 98th webcam")
def test_without_a_webcam_the_real_opencv_stays_quiet_and_the_error_is_clear(capfd: pytest.CaptureFixture[str]) -> None:
    source = open_source("97")
    with pytest.raises(SourceNotFound, match="no webcam 97"):
        source.__enter__()
    assert source.status.phase is Phase.ENDED
    assert capfd.readouterr() == ("", "")
