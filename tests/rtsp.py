"""Real RTSP cameras for the tests: GStreamer's server in its own process, which can be stalled, killed, restarted.

    with RtspServer(file=clip) as url: ...                       # the file's own H.264 packets, at its own speed
    with RtspServer(size=(640, 360), fps=30, codec="h265") as url: ...            # a moving test picture
    with RtspServer(auth="digest", user="u", password="p") as url: ...            # url holds user and password

``needs_rtsp`` skips a test by name where the server's Debian packages are missing.
"""

from __future__ import annotations

import functools
import os
import selectors
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import pytest

PYTHON = "/usr/bin/python3"
SCRIPT = Path(__file__).with_name("rtsp_server.py")
READY_S = 20.0


@functools.cache
def missing() -> str | None:
    """What the server lacks on this machine, or None."""
    check = (
        "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0')\n"
        "from gi.repository import Gst, GstRtspServer; Gst.init(None)\n"
        "assert all(Gst.ElementFactory.find(n) for n in"
        " ('rtph264pay', 'x264enc', 'x265enc', 'jpegenc', 'qtdemux', 'videotestsrc'))"
    )
    try:
        done = subprocess.run([PYTHON, "-c", check], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return f"{PYTHON} does not run"
    if done.returncode:
        return (
            "GStreamer's RTSP server is not installed (gir1.2-gst-rtsp-server-1.0, python3-gi, gstreamer1.0-plugins-*)"
        )
    return None


needs_rtsp = pytest.mark.skipif(missing() is not None, reason=missing() or "")


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RtspServer:
    """One RTSP camera on 127.0.0.1; as a context manager it starts, gives its URL, and is gone at the end.

    file: an MP4 whose ``codec``, h264 or h265, is sent as it is (``encode=True``: decoded and coded again as asked);
    without one, a moving ball of ``size`` at ``fps``, a keyframe every ``gop`` frames. loss: share of RTP packets
    thrown away. shared: all clients watch one pipeline. More keywords go to rtsp_server.py by name.
    """

    def __init__(
        self,
        file: Path | None = None,
        *,
        size: tuple[int, int] = (320, 240),
        codec: Literal["h264", "h265", "mjpeg"] = "h264",
        auth: Literal["none", "basic", "digest"] = "none",
        user: str = "",
        password: str = "",
        port: int = 0,
        **more: Any,
    ) -> None:
        self._options = {"size": f"{size[0]}x{size[1]}", "codec": codec, "auth": auth, "file": file, **more}
        self._user, self._password = user, password
        self.port = port
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where it serves, with user and password (percent-encoded) where it asks for them."""
        who = f"{quote(self._user, safe='')}:{quote(self._password, safe='')}@" if self._user else ""
        return f"rtsp://{who}127.0.0.1:{self.port}/cam"

    def __enter__(self) -> str:
        self.start()
        return self.url

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def start(self, **changed: Any) -> None:
        """Start, or start again on the same port with other options (size, codec, fps, ...)."""
        if "size" in changed:
            changed["size"] = "{}x{}".format(*changed["size"])
        self._options |= changed
        flags = [
            f"--{name}" if value is True else f"--{name}={value}"
            for name, value in self._options.items()
            if value is not None and value is not False
        ]
        who = [f"--user={self._user}", f"--password={self._password}"] if self._user else []
        # a port that was just left is still in TIME_WAIT for a few ms: GStreamer binds with SO_REUSEADDR
        self._process = subprocess.Popen(
            [PYTHON, str(SCRIPT), "--with-parent", f"--port={self.port}", *flags, *who],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "GST_DEBUG": "0"},
        )
        assert self._process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline() if selector.select(READY_S) else ""
        if not line.startswith("READY "):
            self.kill()
            raise RuntimeError(f"the RTSP server did not start within {READY_S} s: {line!r}")
        self.port = int(line.split()[1])

    def kill(self) -> None:
        """SIGKILL: the camera's plug is pulled; the kernel closes its connections."""
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def stall(self) -> None:
        """SIGSTOP: the camera hangs with its connections open."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT: the camera comes back from ``stall``."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)
