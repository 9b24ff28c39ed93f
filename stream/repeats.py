"""A picture that repeats itself: frozen (the same again and again) or looped (a recording that starts over).

Frozen is told from single pixels, every n-th of the picture: a camera's noise, or any life, changes some of
them from frame to frame, a frozen encoder none but where it starts a new keyframe.
Looped is told from a small averaged picture of each frame, in which the noise of encoding cancels out: over
the last second the stream is compared with itself at every lag up to half a minute. In a loop the difference
has a sharp dip at one lag, and there no part of the picture differs; nods and fans dip less, and a
backdrop that repeats behind a living person fails by the person.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .records import Frame, Reason

Print = NDArray[np.float32]

_SAMPLES = 160  # pixels a side that are looked at
_CELLS = (32, 18)
_EVERY_S = 0.1  # a loop is looked for this often
_STEP_S = 0.02  # between two lags
_NEAR_S = 0.5  # a dip is sharp against what lies within this of it


@dataclass(frozen=True, slots=True)
class Repetition:
    """When a picture counts as repeating itself. Times in seconds, levels of 0..255.

    ``still_s``: how long it must stand still to be frozen; ``still_share``: of its frames that must then equal
    the one before, to ``still_level`` in every pixel looked at; ``match_s``: how long a loop must match;
    ``period_min_s``, ``period_max_s``: of the loops that are found; ``dip``: the mean square difference at
    the loop's lag, at most, as a share of that at the lags around it; ``cell_level``: the mean difference
    there of the picture's worst part, at most.
    """

    still_s: float = 1.5
    still_share: float = 0.75
    still_level: int = 2
    match_s: float = 1.2
    period_min_s: float = 0.5
    period_max_s: float = 31.0
    dip: float = 0.15
    cell_level: float = 4.0


class Repeats:
    """Tells, frame by frame, whether the picture repeats itself; one instance per source. Costs 0.2 ms a frame."""

    def __init__(self, options: Repetition | None = None) -> None:
        self._options = options or Repetition()
        self._last: Frame | None = None
        self._still = _Stillness(self._options)
        self._loop = _Loop(self._options)

    def __call__(self, frame: Frame) -> Reason | None:
        """FROZEN, LOOPED or None."""
        if not frame.follows(self._last):
            self._still, self._loop = _Stillness(self._options), _Loop(self._options)
        self._last = frame
        picture = frame.picture
        pixels = picture.samples(0, 0, picture.width, picture.height, _SAMPLES)
        cells = np.asarray(cv2.resize(pixels, _CELLS, interpolation=cv2.INTER_AREA), np.float32).ravel()
        frozen = self._still.update(pixels, cells, frame.pts_s)
        looped = self._loop.update(cells, frame.pts_s)
        return Reason.FROZEN if frozen else Reason.LOOPED if looped else None


class _Stillness:
    def __init__(self, options: Repetition) -> None:
        self._options = options
        self._pixels: NDArray[np.uint8] | None = None
        self._recent: deque[tuple[float, bool, Print]] = deque()  # (pts_s, equal to the one before, cells)

    def update(self, pixels: NDArray[np.uint8], cells: Print, now_s: float) -> bool:
        options, before = self._options, self._pixels
        equal = before is not None and int(cv2.norm(pixels, before, cv2.NORM_INF)) <= options.still_level
        self._pixels = pixels
        self._recent.append((now_s, equal, cells))
        while len(self._recent) > 1 and now_s - self._recent[1][0] >= options.still_s:
            self._recent.popleft()
        since_s, _, start = self._recent[0]
        if now_s - since_s < options.still_s:
            return False
        # A film of 5 pictures a second in a stream of 25 has as many equal frames, but it moves.
        if float(np.abs(cells - start).max()) > options.still_level:
            return False
        return sum(e for _, e, _ in self._recent) >= options.still_share * (len(self._recent) - 1)


class _Loop:
    def __init__(self, options: Repetition) -> None:
        self._options = options
        self._lags_s = np.arange(min(_NEAR_S, options.period_min_s) / 2, options.period_max_s, _STEP_S)
        self._history = _History(options.period_max_s + options.match_s)
        self._checks: deque[tuple[float, Print, Print]] = deque()  # (pts_s, cells, difference at each lag)
        self._lag_s: float | None = None

    def update(self, cells: Print, now_s: float) -> bool:
        self._history.add(now_s, cells)
        if self._checks and now_s - self._checks[-1][0] < _EVERY_S - 1e-6:
            return self._lag_s is not None
        self._checks.append((now_s, cells, self._history.differences(cells, now_s - self._lags_s)))
        while now_s - self._checks[0][0] > self._options.match_s:
            self._checks.popleft()
        if self._lag_s is not None and self._worst_cell(self._lag_s) > 2 * self._options.cell_level:
            self._lag_s = None
        if self._lag_s is None and now_s - self._checks[0][0] > self._options.match_s - 2 * _EVERY_S:
            self._lag_s = self._find()
        return self._lag_s is not None

    def _find(self) -> float | None:
        """The lag at which the last second has been seen before, or None."""
        options = self._options
        total = np.mean([row for _, _, row in self._checks], axis=0)  # (lags,), inf where the past is too short
        allowed = np.where(self._lags_s >= options.period_min_s, total, np.inf)
        best = int(allowed.argmin())
        if not np.isfinite(allowed[best]):
            return None
        near = round(_NEAR_S / _STEP_S)
        sides = total[max(0, best - near) : best], total[best + 1 : best + 1 + near]
        # A loop that has just begun its second pass has no longer lag to be compared with.
        complete = [float(side.max()) for side in sides if len(side) and np.isfinite(side).all()]
        if not complete:
            return None
        lag_s = float(self._lags_s[best])
        sharp = float(total[best]) < options.dip * min(complete)
        return lag_s if sharp and self._worst_cell(lag_s) <= options.cell_level else None

    def _worst_cell(self, lag_s: float) -> float:
        """The mean difference of the part of the picture that differs most, between now and ``lag_s`` ago."""
        differences = [np.abs(cells - self._history.at(then_s - lag_s)) for then_s, cells, _ in self._checks]
        return float(np.mean(differences, axis=0).max())


class _History:
    """The cells of the last ``length_s`` seconds, in one block of memory that is moved to its start when full."""

    def __init__(self, length_s: float) -> None:
        self._length_s = length_s
        self._times = np.zeros(512)
        self._cells = np.zeros((512, _CELLS[0] * _CELLS[1]), np.float32)
        self._squares = np.zeros(512, np.float32)
        self._start = self._end = 0

    def add(self, now_s: float, cells: Print) -> None:
        while self._start < self._end and now_s - self._times[self._start] > self._length_s:
            self._start += 1
        if self._end == len(self._times):
            count = self._end - self._start
            room = max(len(self._times), 2 * count) - count
            kept = slice(self._start, self._end)
            self._times = np.concatenate([self._times[kept], np.zeros(room)])
            self._cells = np.concatenate([self._cells[kept], np.zeros((room, self._cells.shape[1]), np.float32)])
            self._squares = np.concatenate([self._squares[kept], np.zeros(room, np.float32)])
            self._start, self._end = 0, count
        self._times[self._end] = now_s
        self._cells[self._end] = cells - 128
        self._squares[self._end] = np.dot(self._cells[self._end], self._cells[self._end])
        self._end += 1

    def at(self, time_s: float) -> Print:
        """The cells of the frame nearest to a time."""
        return np.asarray(self._cells[self._start + self._nearest(np.array([time_s]))[0]] + 128, np.float32)

    def differences(self, cells: Print, times_s: NDArray[np.float64]) -> Print:
        """Mean square difference to the frames nearest to some times, inf where they lie before the first."""
        part = slice(self._start, self._end)
        centred = cells - 128
        # Not by BLAS: waking its threads for so little costs ten times the work.
        products = np.einsum("ij,j->i", self._cells[part], centred)
        squares = self._squares[part] + np.dot(centred, centred) - 2 * products
        near = squares[self._nearest(times_s)] / cells.size
        return np.where(times_s < self._times[self._start] - _STEP_S, np.inf, np.maximum(near, 0)).astype(np.float32)

    def _nearest(self, times_s: NDArray[np.float64]) -> NDArray[np.int64]:
        times = self._times[self._start : self._end]
        if len(times) == 1:
            return np.zeros(len(times_s), np.int64)
        after = np.clip(np.searchsorted(times, times_s), 1, len(times) - 1)
        return np.where(times_s - times[after - 1] <= times[after] - times_s, after - 1, after)
