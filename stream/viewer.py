"""What the window shows and what its keys do; lives on the main thread."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np

from . import overlay
from .contract import Thresholds
from .looks import Look
from .records import Image
from .sinks.window import Screen

_GRID = (1280, 720)
_LEAST_WIDTH = 640
_QUIT = ("q", "\x1b")


def compose(looks: Sequence[Look], thresholds: Thresholds, hint: str = "h: keys") -> Image:
    """One picture of all cameras, (H, W, 3) BGR: one as large as it comes, several in a grid. hint: ends each line."""
    if len(looks) == 1:
        look = looks[0]
        width, height = (_LEAST_WIDTH, _LEAST_WIDTH * 9 // 16)
        if look.frame is not None:
            scale = max(1.0, _LEAST_WIDTH / look.frame.picture.width)
            width, height = round(look.frame.picture.width * scale), round(look.frame.picture.height * scale)
        return _cell(look, width, height, thresholds, hint)
    columns = math.ceil(math.sqrt(len(looks)))
    rows = math.ceil(len(looks) / columns)
    width, height = _GRID[0] // columns, _GRID[1] // max(rows, columns)
    canvas = np.zeros((height * rows, width * columns, 3), np.uint8)
    for place, look in enumerate(looks):
        x, y = place % columns * width, place // columns * height
        canvas[y : y + height, x : x + width] = _cell(look, width, height, thresholds, hint)
    return canvas


def _cell(look: Look, width: int, height: int, thresholds: Thresholds, hint: str) -> Image:
    if look.frame is None:
        picture, verdicts = np.zeros((height, width, 3), np.uint8), look.verdicts
    else:
        picture, scale, corner = overlay.fit(look.frame.picture.bgr(), width, height)
        verdicts = tuple(replace(v, box=overlay.place(v.box, scale, corner)) for v in look.verdicts)
    return overlay.draw(picture, verdicts, f"{look.status.line()}   {hint}", thresholds, look.status.notice())


@dataclass(slots=True)
class Held:
    """What the keys have switched: the picture held, the help shown."""

    picture: bool = False
    help: bool = False


class Viewer:
    """Shows looks on a screen and does what its keys ask.

    screen: the window. thresholds: the model's. reset: starts all windows of verdicts anew.
    say: tells the user a sentence. folder: where snapshots go.
    """

    def __init__(
        self,
        screen: Screen,
        thresholds: Thresholds,
        reset: Callable[[], None],
        say: Callable[[str], None],
        folder: Path,
    ) -> None:
        self.quit = False
        self._screen = screen
        self._thresholds = thresholds
        self._reset = reset
        self._say = say
        self._folder = folder
        self._held = Held()
        self._told: list[float] = []
        self._picture: Image | None = None

    def update(self, looks: Sequence[Look]) -> None:
        """Act on the keys and show what is new; returns at once."""
        pressed = self._screen.take_keys()
        for key in pressed:
            self._press(key)
        self.quit = self.quit or self._screen.closed
        now = [look.now_s for look in looks]
        new = now != self._told and not self._held.picture
        toggled = " " in pressed and bool(looks)
        if new or toggled:
            # A picture that is held says so: its verdicts are those of that moment.
            hint = "HELD, space: go on" if self._held.picture else "h: keys"
            self._told, self._picture = now, compose(looks, self._thresholds, hint)
        if self._picture is None or not (new or toggled or "h" in pressed):
            self._screen.show(None)
        else:
            self._screen.show(overlay.draw_help(self._picture) if self._held.help else self._picture)

    def _press(self, key: str) -> None:
        if key in _QUIT:
            self.quit = True
        elif key == " ":
            self._held.picture = not self._held.picture
        elif key == "h":
            self._held.help = not self._held.help
        elif key == "f":
            self._screen.full_screen = not self._screen.full_screen
        elif key == "r":
            self._reset()
        elif key == "s" and self._picture is not None:
            self._snapshot(self._picture)

    def _snapshot(self, picture: Image) -> None:
        path = self._folder / f"flowtell-{datetime.now():%Y%m%d-%H%M%S-%f}.png"
        try:
            path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        except OSError as error:
            self._say(f"no snapshot: cannot write {path} ({error.strerror})")
        else:
            self._say(f"snapshot: {path}")
