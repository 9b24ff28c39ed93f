"""Whatever time stamps a sender gives -> one clock that never goes back, and its epochs. No clock is read here."""

from __future__ import annotations

from collections.abc import Hashable

TICK_S = 0.001
"""The least step between two frames."""
NOMINAL_S = 0.04
"""The step to a frame without time stamp where its arrival says nothing."""
BACK_S = 0.1
"""Going back further than this is a jump of the sender's clock, not jitter."""
FORWARD_S = 2.0
"""Going forward by this much more than the time that passed is a jump as well."""


class Timeline:
    """Places frames in time, in seconds; ``epoch`` counts the new beginnings.

    A reconnect, another form of picture, or a jump of the sender's clock begins anew. The time without pictures
    counts: it is taken from the frames' arrival. from_zero: the first frame is at 0 s, else at its own pts.
    """

    def __init__(self, from_zero: bool = False) -> None:
        self._from_zero = from_zero
        self._offset_s: float | None = None  # placed time = pts + offset
        self._last_s: float | None = None
        self._arrived_s: float | None = None
        self._form: Hashable = None
        self._anew = False
        self.epoch = 0

    def restart(self) -> None:
        """The next frame comes from another connection."""
        self._anew = self._last_s is not None

    def place(self, pts_s: float | None, form: Hashable = None, arrived_s: float | None = None) -> float:
        """When the frame is shown: later than the one before. ``arrived_s`` is None for recordings."""
        if self._last_s is None:
            at_s = 0.0 if self._from_zero or pts_s is None else pts_s
        else:
            passed_s = NOMINAL_S
            if arrived_s is not None and self._arrived_s is not None:
                passed_s = max(arrived_s - self._arrived_s, TICK_S)
            jumped = self._anew or self._jumped(pts_s, None if arrived_s is None else passed_s)
            if jumped or form != self._form:
                self.epoch += 1
            if jumped:
                self._offset_s = None
            if pts_s is None or self._offset_s is None:
                at_s = self._last_s + passed_s
            else:
                at_s = max(pts_s + self._offset_s, self._last_s + TICK_S)
        if pts_s is not None and self._offset_s is None:
            self._offset_s = at_s - pts_s
        self._last_s, self._arrived_s, self._form, self._anew = at_s, arrived_s, form, False
        return at_s

    def _jumped(self, pts_s: float | None, passed_s: float | None) -> bool:
        if pts_s is None or self._offset_s is None or self._last_s is None:
            return False
        step_s = pts_s + self._offset_s - self._last_s
        # a recording may well hold a long gap: only a live stream's clock is compared with ours
        return step_s < -BACK_S or (passed_s is not None and step_s > passed_s + FORWARD_S)


class Lag:
    """How far a live stream runs behind the best it did in the last half to whole minute, in seconds.

    Only differences count, so that the sender's clock need not be ours; and the best is forgotten, so that
    clocks that drift apart are not taken for a growing backlog.
    """

    def __init__(self, memory_s: float = 30.0, jump_s: float = 4.0) -> None:
        self._memory_s = memory_s
        self._jump_s = jump_s
        self._since_s: float | None = None
        self._best: tuple[float, float] = (0.0, 0.0)  # of the memory before, and of this one
        self._last_s = 0.0

    def update(self, pts_s: float, now_s: float) -> float:
        """The lag of a picture with this time stamp that was decoded now."""
        delay_s = now_s - pts_s
        if self._since_s is None or abs(delay_s - self._last_s) > self._jump_s:
            self._since_s, self._best = now_s, (delay_s, delay_s)
        elif now_s - self._since_s > self._memory_s:
            self._since_s, self._best = now_s, (self._best[1], delay_s)
        else:
            self._best = (self._best[0], min(self._best[1], delay_s))
        self._last_s = delay_s
        return delay_s - min(self._best)


class Backoff:
    """How long to wait before the next try: doubling from ``first_s`` to ``most_s``, in part by chance.

    A connection that lasted ``stable_s`` makes it start over. Chance spreads the cameras that one switch lost.
    """

    def __init__(self, first_s: float = 0.5, most_s: float = 30.0, stable_s: float = 60.0) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._stable_s = stable_s
        self._next_s = first_s

    def wait_s(self, lasted_s: float, jitter: float) -> float:
        """Seconds to wait after a connection that lasted ``lasted_s`` (0: none); ``jitter`` in [0, 1)."""
        if lasted_s >= self._stable_s:
            self._next_s = self._first_s
        longest_s, self._next_s = self._next_s, min(self._next_s * 2, self._most_s)
        return max(self._first_s, longest_s * (0.5 + 0.5 * jitter))
