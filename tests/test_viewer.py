"""The window's content and keys, without a window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stream.contract import Thresholds
from stream.looks import Look, Play, Status
from stream.pictures import ArrayPicture
from stream.records import Frame, Image
from stream.viewer import Viewer, compose


class Glass:
    """A screen that keeps what it is shown; ``press`` is what the user does."""

    def __init__(self) -> None:
        self.closed = self.full_screen = False
        self.pictures: list[Image | None] = []
        self._keys: list[str] = []

    def press(self, *keys: str) -> None:
        self._keys += keys

    def take_keys(self) -> list[str]:
        keys, self._keys = self._keys, []
        return keys

    def show(self, picture: Image | None) -> None:
        self.pictures.append(picture)


class Desk:
    """A viewer with its screen, and what it said and asked for."""

    def __init__(self, folder: Path) -> None:
        self.screen, self.said, self.resets = Glass(), list[str](), 0
        self.viewer = Viewer(self.screen, Thresholds(), self._reset, self.said.append, folder)  # type: ignore[arg-type]

    def _reset(self) -> None:
        self.resets += 1

    def update(self, now_s: float, level: int = 0) -> Image | None:
        self.viewer.update([look(now_s, level)])
        return self.screen.pictures[-1]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def look(now_s: float, level: int = 0, size: tuple[int, int] = (640, 360)) -> Look:
    frame = Frame(0, now_s, ArrayPicture(np.full((size[1], size[0], 3), level, np.uint8)))
    return Look(frame, True, (), Status("door", "door", Play.PLAYING), now_s)


def test_a_picture_is_drawn_only_when_there_is_a_new_one(desk: Desk) -> None:
    assert desk.update(1.0) is not None
    assert desk.update(1.0) is None
    assert desk.update(2.0) is not None


def test_a_held_picture_stays_and_says_so_until_space_is_pressed_again(desk: Desk) -> None:
    moving = desk.update(1.0, level=50)
    desk.screen.press(" ")
    held = desk.update(1.0, level=50)
    assert moving is not None and held is not None
    assert np.array_equal(moving[:300], held[:300]) and not np.array_equal(moving[300:], held[300:])
    assert desk.update(2.0, level=90) is None
    desk.screen.press(" ")
    back = desk.update(3.0, level=90)
    assert back is not None and int(back[0, 0, 0]) == 90


def test_the_keys_do_what_the_help_says(desk: Desk, tmp_path: Path) -> None:
    plain = desk.update(1.0)
    desk.screen.press("h")
    helped = desk.update(1.0)
    assert plain is not None and helped is not None and not np.array_equal(plain, helped)
    desk.screen.press("r", "f", "s")
    desk.update(2.0)
    assert (desk.resets, desk.screen.full_screen) == (1, True)
    (snapshot,) = tmp_path.glob("flowtell-*.png")
    assert desk.said == [f"snapshot: {snapshot}"]
    assert not desk.viewer.quit
    desk.screen.press("\x1b")
    desk.update(3.0)
    assert desk.viewer.quit


def test_a_snapshot_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "none")
    desk.update(1.0)
    desk.screen.press("s")
    desk.update(2.0)
    assert len(desk.said) == 1 and desk.said[0].startswith("no snapshot: cannot write")


def test_closing_the_window_quits(desk: Desk) -> None:
    desk.screen.closed = True
    desk.update(1.0)
    assert desk.viewer.quit


@pytest.mark.parametrize(
    ("cameras", "shape"), [(1, (360, 640, 3)), (2, (360, 1280, 3)), (4, (720, 1280, 3)), (5, (480, 1278, 3))]
)
def test_cameras_are_shown_in_a_grid(cameras: int, shape: tuple[int, int, int]) -> None:
    assert compose([look(1.0)] * cameras, Thresholds()).shape == shape


def test_a_camera_without_a_picture_is_black_with_its_notice() -> None:
    empty = Look(None, False, (), Status("door", "door", Play.CONNECTING), 1.0)
    shown = compose([empty], Thresholds())
    assert shown.shape == (360, 640, 3) and shown.max() > 0
