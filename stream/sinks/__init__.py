"""Where looks go: the window, the recording, JSON lines, the terminal. Each is a context manager with one verb."""

from __future__ import annotations

from typing import Protocol, Self, TypeVar

Item_contra = TypeVar("Item_contra", contravariant=True)


class Sink(Protocol[Item_contra]):
    """Takes items in with ``write``; finishes what it wrote when its ``with`` block ends.

    ``name`` is told to the user. ``write`` and leaving raise OutputError where it cannot go on.
    """

    name: str

    def write(self, item: Item_contra, /) -> None:
        """Take in one item."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...
