"""The screen as a source: regions, what is opened on which system, and a real grab of a virtual display."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from stream.demo import CLIP
from stream.errors import SourceNotFound, SourceRefused, UsageError
from stream.model import Model
from stream.pipeline import judge
from stream.records import Box, State, Verdict
from stream.sources import LiveSource, Phase, SourceOptions, open_source, read_file
from stream.sources.screen import Region, how_to_grab, parse_region
from tests.conftest import Display, environment
from tests.test_watch import watching

LONG_S = 120.0


def test_a_region_is_width_height_and_place() -> None:
    assert parse_region("640x480+10+20") == Region(640, 480, 10, 20)
    assert parse_region("") is None


@pytest.mark.parametrize("text", ["640x480", "640x480+1", "ax480+1+1", "8x480+0+0", "640x480-10+0", "full"])
def test_what_is_no_region_says_how_to_write_one(text: str) -> None:
    with pytest.raises(UsageError, match=r"write screen:WIDTHxHEIGHT\+X\+Y"):
        open_source(f"screen:{text}")


def test_linux_grabs_a_region_of_the_display() -> None:
    grab = how_to_grab(Region(640, 480, 10, 20), 25, "linux", {"DISPLAY": ":5"})
    assert (grab.format, grab.file) == ("x11grab", ":5+10,20")
    assert grab.options == {"framerate": "25", "video_size": "640x480", "draw_mouse": "1"}


def test_windows_grabs_a_region_by_offset() -> None:
    grab = how_to_grab(Region(640, 480, 10, 20), 25, "win32", {})
    assert (grab.format, grab.file) == ("gdigrab", "desktop")
    assert grab.options["video_size"] == "640x480"
    assert (grab.options["offset_x"], grab.options["offset_y"]) == ("10", "20")


def test_macos_grabs_the_whole_screen_and_crops() -> None:
    grab = how_to_grab(Region(640, 480, 10, 20), 25, "darwin", {})
    assert (grab.format, grab.crop) == ("avfoundation", Region(640, 480, 10, 20))


def test_without_a_display_it_says_so() -> None:
    with pytest.raises(SourceNotFound, match="DISPLAY is not set"):
        how_to_grab(None, 25, "linux", {})


def test_on_wayland_it_refuses_rather_than_to_watch_a_black_picture() -> None:
    with pytest.raises(SourceRefused, match="Wayland"):
        how_to_grab(None, 25, "linux", {"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"})


# A clip playing in a window that fills the display: frame i is gray 30 + 10 * (i % 20), as in tests/clips.py.
# Drawn with Xlib alone: OpenCV's Qt window, where no window manager runs, is now and then mapped but never painted.
PLAYER = """
import ctypes, itertools, time
x11 = ctypes.CDLL("libX11.so.6")
x11.XOpenDisplay.restype = ctypes.c_void_p
x11.XDefaultRootWindow.restype = x11.XCreateSimpleWindow.restype = ctypes.c_ulong
display = ctypes.c_void_p(x11.XOpenDisplay(None))
root = ctypes.c_ulong(x11.XDefaultRootWindow(display))
first = ctypes.c_ulong(0x1E1E1E)
window = ctypes.c_ulong(x11.XCreateSimpleWindow(display, root, 0, 0, 640, 480, 0, first, first))
x11.XMapWindow(display, window)
for i in itertools.count():
    x11.XSetWindowBackground(display, window, ctypes.c_ulong(0x10101 * (30 + 10 * (i % 20))))
    x11.XClearWindow(display, window)
    x11.XSync(display, 0)  # returns once the display has drawn it
    if i == 0:
        print("PLAYING", flush=True)
    time.sleep(0.04)
"""


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """A virtual display of 640 x 480."""
    if not shutil.which("Xvfb"):
        pytest.skip("needs Xvfb (Debian's xvfb)")
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout
    name = f":{server.stdout.readline().strip()}"
    monkeypatch.setenv("DISPLAY", name)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    yield server
    server.kill()
    server.communicate()


@pytest.fixture
def playing(display: subprocess.Popen[str]) -> Iterator[None]:
    """The virtual display with a clip playing all over it."""
    player = subprocess.Popen(
        [sys.executable, "-c", PLAYER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert player.stdout
    assert player.stdout.readline() == "PLAYING\n"
    yield
    player.kill()
    player.communicate()


def test_the_whole_screen_is_grabbed(display: subprocess.Popen[str]) -> None:
    with open_source("screen") as source:
        frame = source.next_frame(5.0)
    assert frame is not None
    assert (frame.picture.width, frame.picture.height) == (640, 480)
    assert frame.picture.bgr()[:100, :100].max() == 0  # the mouse is in the middle


def test_a_clip_that_plays_on_the_screen_is_watched_as_it_plays(playing: None) -> None:
    with open_source("screen:200x100+100+300") as source:
        frames = [f for f in (source.next_frame(5.0) for _ in range(40)) if f]
    assert {(f.picture.width, f.picture.height) for f in frames} == {(200, 100)}
    levels = [float(f.picture.bgr().mean()) for f in frames]
    assert set(levels) <= set(range(30, 230, 10))
    assert len(set(levels)) > 5


def test_the_screen_is_grabbed_at_the_wanted_rate(display: subprocess.Popen[str]) -> None:
    with open_source("screen", SourceOptions(fps=10)) as source:
        frames = [f for f in (source.next_frame(5.0) for _ in range(5)) if f]
    steps = frames[-1].index - frames[0].index
    assert steps >= 4
    assert frames[-1].pts_s - frames[0].pts_s > 0.1 * steps - 0.06  # no faster; a busy machine may be slower


def test_a_display_that_goes_away_is_a_loss_and_no_crash(display: subprocess.Popen[str]) -> None:
    with open_source("screen") as source:
        assert source.next_frame(5.0) is not None
        display.kill()
        assert isinstance(source, LiveSource)
        with source._changed:
            assert source._changed.wait_for(lambda: source.status.phase is Phase.LOST, 10.0)
        assert "check DISPLAY" in str(source.status.error) or "display still there" in str(source.status.error)


def test_a_region_outside_of_the_screen_says_so(display: subprocess.Popen[str]) -> None:
    with pytest.raises(SourceNotFound, match="lies inside"):
        open_source("screen:320x240+600+400").__enter__()


def test_a_display_that_is_not_there_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":4242")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(SourceNotFound, match="check DISPLAY"):
        open_source("screen").__enter__()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="X libraries")
def test_after_cv2_was_imported_first_it_is_refused_instead_of_crashing(display: subprocess.Popen[str]) -> None:
    program = "import cv2\nimport stream\nwith stream.open_source('screen') as source: print(source.next_frame(5))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "import stream first" in done.stderr or (done.returncode == 0 and "Frame" in done.stdout)


def test_closing_ends_the_grab(display: subprocess.Popen[str]) -> None:
    with open_source("screen") as source:
        assert source.next_frame(5.0) is not None
    assert not [t for t in threading.enumerate() if t.name == "capture screen"]


# Beside what flowtell's own window covers, which without a window manager opens in the upper left corner.
X, Y = 640, 320


@pytest.fixture
def demo_playing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Display]:
    """A display of 1280 x 800 on which a player shows the demo clip again and again, 640 x 480 at X, Y."""
    if not (shutil.which("Xvfb") and shutil.which("xdotool") and shutil.which("ffplay")):
        pytest.skip("needs Xvfb, xdotool and ffplay (Debian's xvfb, xdotool, ffmpeg)")
    here = Display()
    monkeypatch.setenv("DISPLAY", here.name)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    place = ["-noborder", "-left", str(X), "-top", str(Y), "-x", "640", "-y", "480"]
    player = subprocess.Popen(
        ["ffplay", "-loglevel", "error", "-an", "-loop", "0", *place, str(CLIP)],
        env=environment(DISPLAY=here.name, SDL_VIDEODRIVER="x11", SDL_AUDIODRIVER="dummy"),
        stdin=subprocess.DEVNULL,
    )
    yield here
    player.kill()
    player.wait()
    here.end()


@pytest.fixture(scope="module")
def places() -> list[Box]:
    """Where the face is in each of the demo clip's pictures, one after the other."""
    boxes = [verdict.box for _, verdicts in judge(read_file(CLIP), Model(), rate_hz=1.0) for verdict in verdicts]
    assert len(boxes) > 300
    return boxes


def is_among(places: Sequence[Box], box: Box) -> bool:
    """Whether a face is where, and as large as, the demo clip's is at one moment or another."""
    off_px = (max(abs(a - b) for a, b in zip((*box.center, box.w), (*p.center, p.w), strict=True)) for p in places)
    return min(off_px) < 12


def test_the_face_in_a_clip_that_plays_on_the_screen_is_found_followed_and_scored(
    demo_playing: Display, places: list[Box]
) -> None:
    seen, end_s, model = list[Verdict](), time.monotonic() + LONG_S, Model()
    with open_source(f"screen:640x480+{X}+{Y}") as source:
        for _, verdicts in judge(source, model):
            seen += verdicts
            if verdicts and verdicts[0].state in (State.REAL, State.FAKE):
                break
            assert time.monotonic() < end_s, "it was never judged"
    assert all(is_among(places, verdict.box) for verdict in seen)
    scored = [verdict for verdict in seen if verdict.track == seen[-1].track and verdict.pairs]
    assert scored[0].pairs == 1
    assert scored[-1].pairs >= model.contract.min_pairs
    assert scored[-1].p_fake is not None


def test_what_plays_on_the_screen_is_watched_beside_it_in_a_window_of_its_own(
    demo_playing: Display, places: list[Box]
) -> None:
    options = ("--window", "--json", "-", "--device", "cpu")
    with watching(f"screen:640x480+{X}+{Y}", *options, DISPLAY=demo_playing.name) as process:
        assert process.stdout is not None
        records = map(json.loads, process.stdout)
        scored = next(r for r in records if r["type"] == "face" and r["state"] in ("REAL", "FAKE"))
        demo_playing.key("flowtell", "q")
        process.communicate(timeout=LONG_S)
    assert process.returncode == 0
    assert is_among(places, Box(*scored["box"]))
    assert 0 <= scored["p_fake"] <= 1
