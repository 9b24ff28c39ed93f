"""The terminal: one line whenever a face's state changes, for people who look at neither window nor JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from stream.errors import OutputError

from .jsonl import Record


class Console:
    """Prints the changes among the records on standard output; several cameras are told apart by name."""

    def __init__(self, several: bool) -> None:
        self.name = "standard output"
        self._several = several
        self._told: dict[tuple[str, int], tuple[str, str | None]] = {}

    def write(self, item: Sequence[Record]) -> None:
        """Print what changed."""
        try:
            for record in item:
                if (line := self.line(record)) is not None:
                    print(line, flush=True)
        except OSError as error:
            raise OutputError(f"cannot go on writing {self.name}: {error.strerror or 'it was closed'}") from error

    def line(self, record: Record) -> str | None:
        """The line of one record, None where it tells nothing new."""
        if record["type"] != "face":
            return None
        key, now = (record["camera"], record["track"]), (record["state"], record["reason"])
        if self._told.get(key) == now:
            return None
        self._told[key] = now
        camera = f"{record['camera']}  " if self._several else ""
        p_fake = "" if record["p_fake"] is None else f"  P(fake) {record['p_fake']:.2f} over {record['pairs']} pairs"
        reason = f"  {record['reason']}" if record["reason"] else ""
        return f"{record['pts_s']:8.2f} s  {camera}face {record['track']}  {record['state']:<6}{p_fake}{reason}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass  # every line was flushed when it was printed
