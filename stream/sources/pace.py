"""Recordings at their own speed: each sample is held back until it is due."""

from __future__ import annotations

import threading

from .base import Clock, Samples


def paced(samples: Samples, closed: threading.Event, clock: Clock | None = None) -> Samples:
    """The samples when they are due: the first now, the others by their pts. Late ones are given at once."""
    clock, offset_s = clock or Clock(), None
    for sample in samples:
        if sample.pts_s is not None:
            if offset_s is None:
                offset_s = clock.now() - sample.pts_s
            ahead_s = sample.pts_s + offset_s - clock.now()
            if ahead_s > 0 and clock.wait(closed, ahead_s):
                return
        yield sample
