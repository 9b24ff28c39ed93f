"""The window's own process: which libraries its Qt stands on."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import environment


def test_the_windows_events_go_to_qt_alone_by_the_systems_own_libx11_xcb() -> None:
    """The copy in opencv-python's wheels writes beside what a newer libX11 reads: events are lost, windows black."""
    ask = (
        "import ctypes, sys\n"
        "try: ctypes.CDLL('libX11-xcb.so.1')\n"
        "except OSError: sys.exit()\n"  # nothing to prefer on this machine
        "import stream.sinks.screen\n"
        "ctypes.CDLL(None).XSetEventQueueOwner\n"  # visible to all that is loaded later, or AttributeError
    )
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False, env=environment())
    assert (done.returncode, done.stderr) == (0, "")
