"""JSON lines: a record for each face when its state or reason changes and once a second, and one for each camera.

``records.schema.json`` beside this file describes every field and its unit.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Self

from stream.errors import OutputError
from stream.looks import Look, Play
from stream.records import Reason, State, Verdict

SCHEMA = Path(__file__).parent / "records.schema.json"
GONE = "GONE"
_EVERY_S = 1.0

Record = dict[str, Any]


class Reporter:
    """Looks -> records; one instance per camera. No clock: the times are the looks' own."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[State, Reason | None, float]] = {}  # the last of each track, with when
        self._last: dict[int, Verdict] = {}
        self._status: tuple[Play, str | None] | None = None
        self._status_s = float("-inf")

    def records(self, look: Look) -> list[Record]:
        """What is to be told of this look: nothing, most of the time."""
        age_s = look.status.frame_age_s or 0.0
        here = {v.track: v for v in look.verdicts}
        out = [_face(look, verdict, GONE, age_s) for track, verdict in self._last.items() if track not in here]
        self._told = {track: told for track, told in self._told.items() if track in here}
        self._last = here
        for verdict in look.verdicts:
            now = (verdict.state, verdict.reason)
            state, reason, told_s = self._told.get(verdict.track, (None, None, 0.0))
            if now != (state, reason) or look.now_s - told_s >= _EVERY_S:
                self._told[verdict.track] = (*now, look.now_s)
                out.append(_face(look, verdict, verdict.state.value, age_s))
        play = (look.status.play, look.status.message)
        if play != self._status or look.now_s - self._status_s >= _EVERY_S:
            self._status, self._status_s = play, look.now_s
            out.append(_status(look))
        return out


def _face(look: Look, verdict: Verdict, state: str, age_s: float) -> Record:
    reason = verdict.reason.value if verdict.reason and state != GONE else None
    return {
        "type": "face",
        "camera": look.status.camera,
        "track": verdict.track,
        "state": state,
        "reason": reason,
        "p_fake": None if verdict.p_fake is None else round(verdict.p_fake, 4),
        "pairs": verdict.pairs,
        "pts_s": round(verdict.pts_s, 4),
        "frame_age_s": round(age_s, 4),
        "evidence_age_s": round(verdict.age_s, 4),
        "box": [round(v, 1) for v in verdict.box],
    }


def _status(look: Look) -> Record:
    status = look.status
    return {
        "type": "status",
        "camera": status.camera,
        "source": status.source,
        "play": status.play.value,
        "message": status.message,
        "device": status.device,
        "faces": len(look.verdicts),
        "pts_s": None if look.frame is None else round(look.frame.pts_s, 4),
        "frame_age_s": None if status.frame_age_s is None else round(status.frame_age_s, 4),
        "fps": round(status.fps, 2),
        "latency_s": None if status.latency_s is None else round(status.latency_s, 4),
        "dropped": status.dropped,
        "reconnects": status.reconnects,
        "pairs_hz": round(status.pairs_hz, 2),
        "pairs_planned_hz": None if status.pairs_planned_hz is None else round(status.pairs_planned_hz, 2),
    }


class JsonLines:
    """Writes records as lines, each flushed at once, all cameras into one stream.

    path: a file, which is added to, or "-" for standard output. now: the UTC wall clock.

    Raises:
        OutputError: the file cannot be opened, the disk is full, or the pipe was closed.
    """

    def __init__(self, path: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.name = "JSON lines to standard output" if path == "-" else f"JSON lines to {path}"
        self._path = path
        self._now = now
        self._out: IO[str] | None = None
        if path != "-":
            self._out = _open(Path(path))

    def write(self, item: Sequence[Record]) -> None:
        """Write records, each with the time ``at`` which it was written."""
        at = self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        out = self._out or sys.stdout
        try:
            out.write("".join(json.dumps({**record, "at": at}) + "\n" for record in item))
            out.flush()
        except OSError as error:
            raise OutputError(f"cannot go on writing {self.name}: {error.strerror or 'it was closed'}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._out is not None:
            try:
                self._out.close()
            except OSError as error:  # what was flushed before is safe
                raise OutputError(f"cannot finish {self.name}: {error.strerror}") from error


def _open(path: Path) -> IO[str]:
    try:
        return path.open("a", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; choose another place") from error
