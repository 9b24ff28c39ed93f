"""The window's own process: which libraries its Qt stands on."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from pathlib import Path

import pytest

import stream
from tests.conftest import Display, environment


def test_the_windows_events_go_to_qt_alone_by_the_systems_own_libx11_xcb(display: Display) -> None:
    """The wheel's copy writes beside what a newer libX11 reads: events are lost, windows stay black."""
    try:
        ctypes.CDLL("libX11-xcb.so.1")
    except OSError:
        pytest.skip("libX11-xcb is not installed (apt install libx11-xcb1): the wheel's own is all there is")
    script = Path(stream.__file__).parent / "sinks" / "screen.py"
    done = subprocess.run(
        [sys.executable, "-P", str(script), "flowtell"],
        stdin=subprocess.DEVNULL,  # opens its window, and ends
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=environment(DISPLAY=display.name, LD_DEBUG="bindings"),
    )
    bound = re.findall(r"to (\S+) \[0\]: normal symbol `XSetEventQueueOwner'", done.stderr)
    assert bound and not [path for path in bound if "opencv_python" in path]
