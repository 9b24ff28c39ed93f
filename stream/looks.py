"""What a camera's loop tells the sinks: one Look for every frame, and while no frame comes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .records import Frame, Verdict


class Play(StrEnum):
    """What a camera is doing."""

    CONNECTING = "connecting"
    PLAYING = "playing"
    STALLED = "stalled"
    ENDED = "ended"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Status:
    """How a camera is doing; rates are over the last second or two.

    ``source`` shows no password; ``message`` tells what is wrong, None while all is well; ``fps`` counts
    judged frames; ``latency_s`` is from a frame's arrival to its verdict (the slowest of the last second);
    ``frame_age_s`` is how long ago the newest judged frame arrived; ``dropped`` counts the frames that the
    source has thrown away since the start; ``pairs_planned_hz`` is None where every pair is scored, and for
    files that are read as fast as they can be.
    """

    camera: str
    source: str
    play: Play
    message: str | None = None
    device: str = "cpu"
    fps: float = 0.0
    latency_s: float | None = None
    frame_age_s: float | None = None
    dropped: int = 0
    reconnects: int = 0
    pairs_hz: float = 0.0
    pairs_planned_hz: float | None = None

    def line(self) -> str:
        """The status line of the overlay."""
        parts = [self.camera, f"{self.fps:.1f} fps"]
        if self.latency_s is not None:
            parts.append(f"latency {self.latency_s * 1000:.0f} ms")
        parts.append(f"dropped {self.dropped}")
        planned = "" if self.pairs_planned_hz is None else f" of {self.pairs_planned_hz:.0f}"
        parts.append(f"pairs {self.pairs_hz:.0f}{planned} per s")
        return "   ".join([*parts, self.device])

    def notice(self) -> str | None:
        """What is told large across the picture, None while frames come."""
        if self.play in (Play.PLAYING, Play.ENDED):
            return None
        if self.message:
            return f"{self.play.value}: {self.message}"
        if self.play is Play.STALLED and self.frame_age_s is not None:
            return f"no frames for {self.frame_age_s:.0f} s"
        return self.play.value


@dataclass(frozen=True, slots=True)
class Look:
    """A camera at one moment: its newest frame (None before the first), what is known of its faces, and its status.

    ``fresh`` says whether the frame is a new one; ``now_s`` is ``time.monotonic`` when the look was made.
    """

    frame: Frame | None
    fresh: bool
    verdicts: tuple[Verdict, ...]
    status: Status
    now_s: float
