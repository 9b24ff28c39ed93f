"""The window on the screen; it never takes the watching down with it."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Condition, Thread
from typing import IO, Self

from stream.records import Image

from .screen import FULL_SCREEN

_SCREEN = Path(__file__).parent / "screen.py"


def no_display(environment: Mapping[str, str] | None = None, platform: str = sys.platform) -> str | None:
    """Why no window can be opened here, or None where one can be tried."""
    environment = os.environ if environment is None else environment
    if platform in ("win32", "darwin") or environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"):
        return None
    return "no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"


class Screen:
    """A window in a process of its own, fed from a thread, so that ``show`` returns at once.

    title: of the window.

    Attributes: ``keys`` pressed since they were last taken with ``take_keys``; ``closed``: the user closed
    it; ``lost``: why it is gone otherwise, else None; ``shown`` pictures; ``full_screen`` may be set.
    """

    def __init__(self, title: str) -> None:
        self.closed = False
        self.lost: str | None = None
        self.full_screen = False
        self.shown = 0
        self._title = title
        self._next: Image | None = None
        self._keys: list[str] = []
        self._asked = False
        self._ending = False
        self._changed = Condition()
        self._thread = Thread(target=self._run, name="flowtell window", daemon=True)

    def show(self, picture: Image | None) -> None:
        """Show a picture; None keeps the one shown and only asks for keys. The latest one wins."""
        with self._changed:
            self._next = self._next if picture is None else picture
            self._asked = True
            self._changed.notify_all()

    def take_keys(self) -> list[str]:
        """The keys pressed since the last call, as characters; Esc is ``"\\x1b"``."""
        with self._changed:
            keys, self._keys = self._keys, []
        return keys

    def wait_shown(self, timeout_s: float) -> bool:
        """Whether a picture stands on the screen within ``timeout_s``."""
        with self._changed:
            self._changed.wait_for(lambda: self.shown > 0 or self.lost is not None or self.closed, timeout_s)
            return self.shown > 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        command = [sys.executable, "-P", str(_SCREEN), self._title]
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
            try:
                if process.stdin is not None and process.stdout is not None:
                    self._talk(process.stdin, process.stdout)
            except OSError:  # a broken pipe: the process is gone, and says why on its standard error
                pass
            finally:
                if process.stdin is not None:
                    _close(process.stdin)
                try:
                    process.wait(timeout=1)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                if process.stdout is not None:
                    process.stdout.close()
            with self._changed:
                if not self._ending and not self.closed:
                    self.lost = _last_line(said) or f"it ended with code {process.returncode}"
                self._changed.notify_all()

    def _talk(self, requests: IO[bytes], answers: IO[bytes]) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked or self._ending)
                if self._ending:
                    return
                picture, self._next, self._asked = self._next, None, False
            height, width = (0, 0) if picture is None else picture.shape[:2]
            requests.write(struct.pack("<III", FULL_SCREEN if self.full_screen else 0, height, width))
            if picture is not None:
                requests.write(picture.tobytes())
            requests.flush()
            head = answers.read(2)
            if len(head) < 2:
                return
            keys = answers.read(head[1])
            with self._changed:
                self.shown += picture is not None
                self._keys += [chr(key) for key in keys]
                self._changed.notify_all()
                if not head[0]:
                    self.closed = True
                    return


def _close(pipe: IO[bytes]) -> None:
    with suppress(OSError):  # what it still held was for a process that is gone
        pipe.close()


def _last_line(said: IO[bytes]) -> str:
    said.seek(0)
    lines = [line.strip() for line in said.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""
