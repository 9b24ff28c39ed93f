"""What every source is: the contract between where frames come from and who watches them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Generator, Hashable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, Self, get_args

from stream.errors import UsageError
from stream.pictures import Picture
from stream.records import Frame

Transport = Literal["tcp", "udp", "http", "udp_multicast"]
HwAccel = Literal["none", "cuda"]


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How a source is read. Times in seconds, ``size`` in pixels (width, height).

    realtime: a file plays at its own speed and becomes live (the latest frame wins).
    rtsp_transport: what carries an RTSP stream's pictures; over UDP a lost packet costs all up to the next keyframe.
    hwaccel: "cuda" decodes streams and files on the GPU, or fails; it never falls back silently.
    size, fps: what is asked of a webcam (None: its highest rate); fps also of the screen (None: 25).
    open_timeout_s: how long a stream may take to answer and to send its first picture.
    silence_s: a stream without data for this long is ended and connected anew.
    patient: a live source that cannot be opened at first is tried again and again too, instead of raising.
    """

    realtime: bool = False
    rtsp_transport: Transport = "tcp"
    hwaccel: HwAccel = "none"
    size: tuple[int, int] = (1280, 720)
    fps: float | None = None
    open_timeout_s: float = 8.0
    silence_s: float = 2.4
    patient: bool = False

    def __post_init__(self) -> None:
        if self.rtsp_transport not in get_args(Transport):
            raise UsageError(f"no RTSP transport {self.rtsp_transport!r}: choose {', '.join(get_args(Transport))}")
        if self.hwaccel not in get_args(HwAccel):
            raise UsageError(f"no hardware decoder {self.hwaccel!r}: choose {', '.join(get_args(HwAccel))}")
        if min(self.size) < 16 or (self.fps is not None and self.fps <= 0):
            raise UsageError(f"a picture of {self.size} pixels at {self.fps} per second cannot be asked for")
        if self.open_timeout_s <= 0 or self.silence_s <= 0:
            raise UsageError("open_timeout_s and silence_s must be more than 0 seconds")


class Phase(StrEnum):
    """Where a source stands."""

    CONNECTING = "connecting"
    RUNNING = "running"
    LOST = "lost"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Status:
    """A source at one moment; safe to show, it holds no password.

    connections: how often pictures began to come; attempts: tries since the last picture that failed.
    frames: decoded so far; dropped: of these, replaced by a newer one before anybody took them;
    damaged: pictures that arrived broken and were not given on. arrived_s: ``time.monotonic`` of the newest frame.
    error: one sentence on the last loss, None while pictures come.
    """

    phase: Phase
    connections: int = 0
    attempts: int = 0
    frames: int = 0
    dropped: int = 0
    damaged: int = 0
    arrived_s: float | None = None
    error: str | None = None


class Source(Protocol):
    """An open source of frames; a context manager, to be used by one consumer thread.

    Entering waits for the first picture, or raises the SourceError (or DeviceError) that says why there is none;
    leaving ends the capture thread. After that a live source never raises for what the camera does:
    it reconnects, and ``status`` tells. ``epoch`` of the frames counts the new beginnings.
    """

    @property
    def live(self) -> bool:
        """Whether the latest frame wins (and others are dropped and counted); False: nothing is ever dropped."""

    @property
    def name(self) -> str:
        """What is read, without any password: safe to show, log and write."""

    @property
    def status(self) -> Status:
        """Where the source stands now."""

    def next_frame(self, timeout_s: float) -> Frame | None:
        """The latest frame not yet taken, waiting up to ``timeout_s`` for one.

        None: nothing new came in that time, or the source ended (``status.phase`` tells which).
        """

    def close(self) -> None:
        """End it; from any thread, without waiting. A waiting ``next_frame`` returns None at once."""

    def __iter__(self) -> Iterator[Frame]:
        """Frame after frame until the source ends or is closed; through losses of a live source it waits."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Sample(NamedTuple):
    """What a connection delivers: a picture (None: a damaged one) with the time and form the sender gave it.

    pts_s: on the sender's own clock, None where it has none; form: size, codec and time base, whose change
    starts a new epoch.
    """

    picture: Picture | None
    pts_s: float | None = None
    form: Hashable = None


Samples = Generator[Sample, None, None]
Connect = Callable[[threading.Event], Samples]
"""Opens a connection and gives its samples until it ends, or until the event (the source is closed) is set.

The end, a SourceError or a DeviceError is a disconnect.
"""


def _wait(closed: threading.Event, seconds: float) -> bool:
    return closed.wait(seconds)


@dataclass(frozen=True, slots=True)
class Clock:
    """All that sources know of time and chance; tests give their own.

    now: seconds, monotonic. wait: sleep for seconds unless the event is set, and say whether it is.
    jitter: uniform in [0, 1).
    """

    now: Callable[[], float] = time.monotonic
    wait: Callable[[threading.Event, float], bool] = _wait
    jitter: Callable[[], float] = random.random
