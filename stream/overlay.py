"""Picture + verdicts -> picture: a box per face, its state, P(fake) and history, and a line of status.

Every state has its own colour (of the Okabe-Ito set, safe for the colour-blind), its own line and its
own sign, so that it is told apart without colour as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .contract import Thresholds
from .records import Box, Image, State, Verdict

Colour = tuple[int, int, int]
COLOURS: dict[State, Colour] = {  # BGR
    State.REAL: (115, 158, 0),
    State.FAKE: (0, 72, 213),
    State.UNSURE: (0, 159, 230),
    State.STALE: (150, 150, 150),
}
_WHITE, _DARK = (255, 255, 255), (24, 20, 18)
_FONT = cv2.FONT_HERSHEY_DUPLEX
_HELP = (
    ("q, Esc", "quit"),
    ("s", "save a snapshot"),
    ("r", "start the verdicts anew"),
    ("f", "full screen"),
    ("space", "hold the picture"),
    ("h", "these keys"),
)


@dataclass(frozen=True, slots=True)
class Style:
    """Sizes that follow the picture: ``text`` is the height of a line in pixels, ``line`` a stroke's width."""

    text: int
    line: int

    @classmethod
    def fit(cls, height: int, width: int) -> Style:
        """Sizes that can be read in a picture of this size."""
        side = min(height, width * 9 // 16)
        return cls(max(12, round(side / 30)), max(1, round(side / 320)))


def draw(
    picture: Image,
    verdicts: Sequence[Verdict],
    status: str,
    thresholds: Thresholds | None = None,
    notice: str | None = None,
) -> Image:
    """A copy of ``picture``, (H, W, 3) BGR, with everything that is to be told about it.

    thresholds: lines in the history's curve. notice: told large across the picture, which turns gray
    (the camera is gone, frames have stopped).
    """
    canvas = _grayed(picture) if notice else picture.copy()
    style = Style.fit(*canvas.shape[:2])
    for verdict in verdicts:
        _face(canvas, verdict, style, thresholds or Thresholds())
    if notice:
        _notice(canvas, notice, style)
    _status(canvas, status, style)
    return canvas


def draw_help(picture: Image) -> Image:
    """A copy of ``picture`` with the list of keys in its middle."""
    canvas = picture.copy()
    style = Style.fit(*canvas.shape[:2])
    step = round(style.text * 1.6)
    column = max(_width(key, style.text) for key, _ in _HELP) + step
    width = column + max(_width(what, style.text) for _, what in _HELP) + 2 * step
    height = step * (len(_HELP) + 1)
    x, y = (canvas.shape[1] - width) // 2, (canvas.shape[0] - height) // 2
    _panel(canvas, x, y, width, height, 0.75)
    for row, (key, what) in enumerate(_HELP):
        base = y + step + row * step + style.text // 2
        _write(canvas, key, x + step, base, style.text, _WHITE)
        _write(canvas, what, x + step + column, base, style.text, _WHITE)
    return canvas


def fit(picture: Image, width: int, height: int) -> tuple[Image, float, tuple[int, int]]:
    """``picture`` as large as it can be in ``width`` x ``height``, with its scale and its upper left corner."""
    scale = min(width / picture.shape[1], height / picture.shape[0])
    w, h = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    canvas = np.full((height, width, 3), _DARK, np.uint8)
    x, y = (width - w) // 2, (height - h) // 2
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas[y : y + h, x : x + w] = picture if scale == 1 else cv2.resize(picture, (w, h), interpolation=how)
    return canvas, scale, (x, y)


def place(box: Box, scale: float, corner: tuple[int, int]) -> Box:
    """``box`` where ``fit`` has put it."""
    return Box(box.x * scale + corner[0], box.y * scale + corner[1], box.w * scale, box.h * scale)


def _face(canvas: Image, verdict: Verdict, style: Style, thresholds: Thresholds) -> None:
    colour = COLOURS[verdict.state]
    x, y = round(verdict.box.x), round(verdict.box.y)
    w, h = round(verdict.box.w), round(verdict.box.h)
    _outline(canvas, (x, y, x + w, y + h), verdict.state, style)
    _label(canvas, verdict, x, y, style)
    if len(verdict.history) > 1 and w > 3 * style.text:
        below = y + h + 2 * style.line
        _curve(canvas, verdict.history, (x, below, w, round(1.8 * style.text)), thresholds, colour, style)


def _outline(canvas: Image, box: tuple[int, int, int, int], state: State, style: Style) -> None:
    """REAL: four corners; FAKE: a heavy double line; UNSURE: dashes; STALE: dots."""
    x0, y0, x1, y1 = box
    colour, line = COLOURS[state], style.line
    if state is State.FAKE:
        cv2.rectangle(canvas, (x0, y0), (x1, y1), colour, 2 * line)
        inset = 4 * line
        cv2.rectangle(canvas, (x0 + inset, y0 + inset), (x1 - inset, y1 - inset), colour, line)
        return
    if state is State.REAL:
        reach = max(2, (x1 - x0) // 5)
        for cx, cy, dx, dy in ((x0, y0, 1, 1), (x1, y0, -1, 1), (x0, y1, 1, -1), (x1, y1, -1, -1)):
            cv2.line(canvas, (cx, cy), (cx + dx * reach, cy), colour, 2 * line, cv2.LINE_AA)
            cv2.line(canvas, (cx, cy), (cx, cy + dy * reach), colour, 2 * line, cv2.LINE_AA)
        return
    dash, gap = (8 * line, 6 * line) if state is State.UNSURE else (2 * line, 4 * line)
    for along in range(0, max(x1 - x0, y1 - y0), dash + gap):
        if along < x1 - x0:
            end = min(x0 + along + dash, x1)
            cv2.line(canvas, (x0 + along, y0), (end, y0), colour, line + 1)
            cv2.line(canvas, (x0 + along, y1), (end, y1), colour, line + 1)
        if along < y1 - y0:
            end = min(y0 + along + dash, y1)
            cv2.line(canvas, (x0, y0 + along), (x0, end), colour, line + 1)
            cv2.line(canvas, (x1, y0 + along), (x1, end), colour, line + 1)


def _label(canvas: Image, verdict: Verdict, x: int, y: int, style: Style) -> None:
    """State and sign on the state's colour above the box, with P(fake) or the reason beside it."""
    text = style.text
    pad = round(text * 0.5)
    detail = verdict.reason.value if verdict.reason else ""
    if verdict.p_fake is not None:
        share = f"P(fake) {verdict.p_fake:.2f}"
        detail = f"{detail}, {share}" if detail else share
    sign = round(1.2 * text)
    head = pad + sign + pad // 2 + _width(verdict.state.value, text) + pad
    tail = _width(detail, text * 3 // 4) + 2 * pad
    height = text + 2 * pad
    left = min(max(x - style.line, 0), max(0, canvas.shape[1] - head - tail))
    top = max(0, y - height - style.line)
    base = top + height - pad
    cv2.rectangle(canvas, (left, top), (left + head, top + height), COLOURS[verdict.state], cv2.FILLED)
    _panel(canvas, left + head, top, tail, height + 1, 0.6)
    _sign(canvas, verdict.state, (left + pad + sign // 2, top + height // 2), sign // 2, style)
    _write(canvas, verdict.state.value, left + pad + sign + pad // 2, base, text, _WHITE)
    _write(canvas, detail, left + head + pad, base - text // 8, text * 3 // 4, _WHITE)


def _sign(canvas: Image, state: State, centre: tuple[int, int], radius: int, style: Style) -> None:
    """A tick, a triangle with a bar, a question mark, or two bars."""
    x, y = centre
    line = max(1, style.line)
    if state is State.REAL:
        points = [(x - radius, y), (x - radius // 3, y + radius * 2 // 3), (x + radius, y - radius * 2 // 3)]
        cv2.polylines(canvas, [np.array(points, np.int32)], False, _WHITE, 2 * line, cv2.LINE_AA)
    elif state is State.FAKE:
        corners = [(x, y - radius), (x + radius, y + radius * 4 // 5), (x - radius, y + radius * 4 // 5)]
        cv2.fillPoly(canvas, [np.array(corners, np.int32)], _WHITE, cv2.LINE_AA)
        cv2.line(canvas, (x, y - radius // 3), (x, y + radius // 4), COLOURS[state], line)
        cv2.circle(canvas, (x, y + radius * 3 // 5), max(1, line // 2), COLOURS[state], cv2.FILLED)
    elif state is State.UNSURE:
        _write(canvas, "?", x - _width("?", 2 * radius) // 2, y + radius, 2 * radius, _WHITE)
    else:
        for dx in (-radius // 2, radius // 2):
            cv2.line(canvas, (x + dx, y - radius * 2 // 3), (x + dx, y + radius * 2 // 3), _WHITE, 2 * line)


def _curve(
    canvas: Image,
    history: Sequence[float],
    area: tuple[int, int, int, int],
    thresholds: Thresholds,
    colour: Colour,
    style: Style,
) -> None:
    """The window's P(fake) so far, 0 at the bottom and 1 at the top, with the two thresholds as thin lines."""
    x, y, w, h = area
    _panel(canvas, x, y, w, h, 0.6)
    inner = h - 2 * style.line - 1
    for level in (thresholds.fake_enter, thresholds.real_enter):
        height = y + style.line + round((1 - level) * inner)
        cv2.line(canvas, (x, height), (x + w - 1, height), (110, 110, 110), 1)
    across = np.linspace(x, x + w - 1, len(history))
    points = np.stack([across, y + style.line + (1 - np.asarray(history)) * inner], axis=1)
    path = np.rint(points).astype(np.int32)
    cv2.polylines(canvas, [path], False, colour, style.line + 1, cv2.LINE_AA)
    cv2.circle(canvas, (int(path[-1, 0]), int(path[-1, 1])), 2 * style.line, _WHITE, cv2.FILLED, cv2.LINE_AA)


def _status(canvas: Image, status: str, style: Style) -> None:
    """One line along the lower edge, smaller where it would not fit."""
    height, width = canvas.shape[:2]
    text = style.text * 3 // 4
    pad = style.text // 2
    needed = _width(status, text)
    if needed > width - 2 * pad:
        text = max(8, int(text * (width - 2 * pad) / needed))
        while status and _width(status, text) > width - 2 * pad:
            status = status[:-1]
    bar = text + 2 * pad
    _panel(canvas, 0, height - bar, width, bar, 0.6)
    _write(canvas, status, pad, height - pad, text, _WHITE)


def _notice(canvas: Image, notice: str, style: Style) -> None:
    text = round(style.text * 1.3)
    needed = _width(notice, text)
    if needed > canvas.shape[1] * 0.9:
        text = max(8, int(text * canvas.shape[1] * 0.9 / needed))
        needed = _width(notice, text)
    x, y = (canvas.shape[1] - needed) // 2, canvas.shape[0] // 2
    _panel(canvas, x - text, y - 2 * text, needed + 2 * text, 3 * text + text // 2, 0.7)
    _write(canvas, notice, x, y + text // 4, text, _WHITE)


def _grayed(picture: Image) -> Image:
    gray = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.cvtColor(cv2.convertScaleAbs(gray, alpha=0.6), cv2.COLOR_GRAY2BGR), np.uint8)


def _panel(canvas: Image, x: int, y: int, w: int, h: int, alpha: float) -> None:
    """Darken a region, so that text can be read on any picture."""
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, canvas.shape[1]), min(y + h, canvas.shape[0])
    if x1 > x0 and y1 > y0:
        part = canvas[y0:y1, x0:x1]
        ground = np.full_like(part, _DARK)
        canvas[y0:y1, x0:x1] = cv2.addWeighted(part, 1 - alpha, ground, alpha, 0)


def _scale(text: int) -> float:
    return text / 22  # a capital of Hershey's duplex is 22 px high at scale 1


def _weight(text: int) -> int:
    return max(1, round(text / 18))


def _width(line: str, text: int) -> int:
    return int(cv2.getTextSize(line, _FONT, _scale(text), _weight(text))[0][0])


def _write(canvas: NDArray[np.uint8], line: str, x: int, y: int, text: int, colour: Colour) -> None:
    # Hershey's fonts know ASCII only.
    plain = line.encode("ascii", "replace").decode()
    cv2.putText(canvas, plain, (x, y), _FONT, _scale(text), colour, _weight(text), cv2.LINE_AA)
