"""What several test files share: a model with known answers, a short clip with a face, a display, the command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import pytest

from stream.contract import Contract
from stream.demo import CLIP
from tests.tiny import tiny_model

FACE_CLIP_S = 3.0
Flowtell = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose P(fake) is the mean of its input."""
    return tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx", Contract(size=64))


@pytest.fixture(scope="session")
def face_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 3 s of the demo clip (75 frames at 25 a second) at 320x240: one face."""
    path = tmp_path_factory.mktemp("clip") / "face.mp4"
    with av.open(str(CLIP)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=25, options={"g": "25", "bf": "0", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.thread_type = "FRAME"  # one slice a picture, as cameras send
        for index, frame in enumerate(source.decode(video=0)):
            if index == round(FACE_CLIP_S * 25):
                break
            small = cv2.resize(frame.to_ndarray(format="bgr24"), (320, 240), interpolation=cv2.INTER_AREA)
            shown = av.VideoFrame.from_ndarray(small, format="bgr24")
            shown.pts, shown.time_base = index, Fraction(1, 25)
            target.mux(stream.encode(shown))
        target.mux(stream.encode(None))
    return path


def environment(**more: str) -> dict[str, str]:
    """This process's environment without any display, so that no test opens a window unasked."""
    return {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")} | more


def command(*arguments: object) -> list[str]:
    """The command line of ``flowtell`` under this very Python."""
    return [sys.executable, "-m", "stream.cli", *map(str, arguments)]


@pytest.fixture(scope="session")
def flowtell() -> Flowtell:
    """Runs the command in a process of its own and gives what it printed and its exit code."""

    def run(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments), capture_output=True, text=True, timeout=120, check=False, env=environment(**more)
        )

    return run


class Display:
    """An X server without a screen; ``name`` is what DISPLAY takes."""

    def __init__(self) -> None:
        read, write = os.pipe()
        self._process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x800x24", "-nolisten", "tcp"],
            pass_fds=(write,),
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        with os.fdopen(read) as told:
            self.name = f":{told.readline().strip()}"

    def xdotool(self, *arguments: str) -> str:
        """What xdotool prints on this display."""
        done = subprocess.run(
            ["xdotool", *arguments], env=environment(DISPLAY=self.name), capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def key(self, title: str, key: str) -> None:
        """Press a key in the window with this title; waits for the window."""
        window = self.xdotool("search", "--sync", "--onlyvisible", "--name", title).splitlines()[0]
        self.xdotool("windowfocus", "--sync", window)
        self.xdotool("key", key)

    def end(self) -> None:
        """Take the display away."""
        self._process.kill()
        self._process.wait()


@pytest.fixture
def display() -> Iterator[Display]:
    """A display of this test's own."""
    if shutil.which("Xvfb") is None or shutil.which("xdotool") is None:
        pytest.skip("Xvfb and xdotool are not installed (apt install xvfb xdotool)")
    here = Display()
    yield here
    here.end()
