"""Watching for real: a real RTSP server, a real display, signals, and a disk that fills up."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import av
import cv2
import numpy as np
import pytest

from stream.check import check_file
from stream.demo import CLIP
from stream.model import Model
from stream.overlay import COLOURS
from stream.records import State
from tests.conftest import Display, Flowtell, command, environment
from tests.rtsp import RtspServer, needs_rtsp

PATIENCE_S = 60.0


@contextmanager
def watching(*arguments: object, **more: str) -> Iterator[subprocess.Popen[str]]:
    """``flowtell watch`` in the background, certainly gone at the end."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Tests that a shell runs behind another job are deaf to Ctrl-C, and so would be what they start.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        command("watch", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**more),
    )
    late = Timer(3 * PATIENCE_S, process.kill)  # so that nobody waits for ever for a line that never comes
    late.start()
    try:
        yield process
    finally:
        late.cancel()
        process.kill()
        process.communicate()


def until(true: Callable[[], bool]) -> None:
    """Wait for something outside this process."""
    end_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end_s, "it never came"
        time.sleep(0.02)


def first(process: subprocess.Popen[str], said: str) -> str:
    """The first line of standard output that holds ``said``."""
    assert process.stdout is not None
    for line in process.stdout:
        if said in line:
            return line
    raise AssertionError(f"{said!r} was never said")


def frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def screenshot(display: Display, path: Path) -> Path:
    """What stands on the display now, as a file."""
    grab = ["ffmpeg", "-loglevel", "error", "-y", "-f", "x11grab", "-i", display.name, "-frames:v", "1", str(path)]
    subprocess.run(grab, check=True, timeout=PATIENCE_S)
    return path


def shows_real(path: Path) -> bool:
    """Whether the label and the corners of a REAL face stand in a picture."""
    picture = cv2.imread(str(path))
    if picture is None:  # still being written
        return False
    off = np.abs(picture.astype(int) - COLOURS[State.REAL]).sum(axis=2)
    return bool((off < 12).sum() > 500)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_the_recording_and_the_records(
    number: signal.Signals, code: int, model_file: Path, tmp_path: Path
) -> None:
    video, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    options = ("--realtime", "--no-window", "--record", video, "--json", lines, "--model", model_file)
    with watching(CLIP, *options) as process:
        first(process, "REAL")
        process.send_signal(number)
        _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code
    assert "Traceback" not in stderr
    assert frames_of(video) > 10
    assert json.loads(lines.read_text().splitlines()[-1])["play"] == "ended"


def test_duration_ends_the_watching(flowtell: Flowtell, model_file: Path) -> None:
    done = flowtell("watch", CLIP, "--realtime", "--duration", "1.5", "--json", "-", "--model", model_file)
    assert done.returncode == 0
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["play"] == "ended" and 0.5 < last["pts_s"] < 5


def test_whoever_stops_reading_ends_the_watching_with_a_sentence(model_file: Path) -> None:
    with watching(CLIP, "--realtime", "--no-window", "--json", "-", "--model", model_file) as process:
        first(process, "status")
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.wait(PATIENCE_S) == 7
        stderr = process.stderr.read()
    assert "cannot go on writing JSON lines to standard output" in stderr
    assert "Traceback" not in stderr and "Exception ignored" not in stderr


def test_a_disk_that_fills_up_ends_the_recording_and_nothing_else(model_file: Path, tmp_path: Path) -> None:
    video = tmp_path / "out.mp4"
    # No file may grow beyond 100 KiB: the recording meets what a full disk is, the watching goes on.
    limited = ["bash", "-c", 'ulimit -f 100; trap "" XFSZ; exec "$@"', "bash"]
    done = subprocess.run(
        [*limited, *command("watch", CLIP, "--no-window", "--record", video, "--model", model_file)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment(),
    )
    assert done.returncode == 7
    assert "had to end: File too large; what was written before is kept in" in done.stderr
    assert done.stdout.splitlines()[-1].split()[0:2] == ["13.96", "s"]
    with av.open(str(video)) as container:
        assert sum(1 for packet in container.demux(video=0) if packet.size) >= 25


@needs_rtsp
def test_a_file_and_the_same_file_over_rtsp_give_the_same_track_and_verdict(model_file: Path, face_clip: Path) -> None:
    from_file = check_file(face_clip, Model(model_file, "cpu"))
    faces = []
    options = ("--no-window", "--json", "-", "--model", model_file)
    with RtspServer(file=face_clip) as url, watching(url, *options) as process:
        assert process.stdout is not None
        for line in process.stdout:
            record = json.loads(line)
            if record["type"] == "face":
                faces.append(record)
            elif faces and record["play"] == "stalled":  # the file has come to its end
                break
    assert {face["track"] for face in faces} == {from_file.tracks[0].track} == {1}
    decided = [face for face in faces if face["state"] in ("REAL", "FAKE")]
    assert {face["state"] for face in decided} == {from_file.verdict.value}
    assert from_file.p_fake is not None
    assert decided[-1]["p_fake"] == pytest.approx(from_file.p_fake, abs=0.02)


@needs_rtsp
def test_an_rtsp_stream_is_shown_on_a_real_display_and_its_keys_work(
    model_file: Path, display: Display, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        RtspServer(file=CLIP, encode=True, size=(640, 480)) as url,
        watching(url, "--model", model_file, DISPLAY=display.name) as process,
    ):
        first(process, "REAL")
        until(lambda: shows_real(screenshot(display, tmp_path / "screen.png")))

        def snapshot_shows_real() -> bool:
            display.key("flowtell", "s")
            return any(shows_real(path) for path in tmp_path.glob("flowtell-*.png"))

        until(snapshot_shows_real)
        display.key("flowtell", "h")
        display.key("flowtell", "space")
        display.key("flowtell", "r")
        first(process, "warming up")
        display.key("flowtell", "q")
        assert process.wait(PATIENCE_S) == 0


def test_closing_the_window_ends_the_watching(model_file: Path, display: Display) -> None:
    with watching(CLIP, "--realtime", "--model", model_file, DISPLAY=display.name) as process:
        first(process, "UNSURE")
        window = display.xdotool("search", "--sync", "--onlyvisible", "--name", "flowtell").splitlines()[0]
        display.xdotool("windowclose", window)
        assert process.wait(PATIENCE_S) == 0


def test_a_display_that_is_lost_costs_the_window_only(model_file: Path, display: Display) -> None:
    with watching(CLIP, "--realtime", "--model", model_file, DISPLAY=display.name) as process:
        display.xdotool("search", "--sync", "--onlyvisible", "--name", "flowtell")
        first(process, "UNSURE")
        display.end()
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "the window is lost" in stderr and "watching goes on without it" in stderr
    assert stdout.splitlines()[-1].split()[0:2] == ["13.96", "s"]


def test_several_cameras_share_one_window(
    model_file: Path, display: Display, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with watching(CLIP, CLIP, CLIP, "--realtime", "--model", model_file, DISPLAY=display.name) as process:
        first(process, "REAL")
        display.key("flowtell", "s")
        until(lambda: bool(list(tmp_path.glob("flowtell-*.png"))))
        display.key("flowtell", "Escape")
        assert process.wait(PATIENCE_S) == 0
    picture = cv2.imread(str(next(tmp_path.glob("flowtell-*.png"))))
    assert picture is not None and picture.shape == (720, 1280, 3)
    assert int(picture[380:700, 660:1260].max()) == 0  # three cameras in a grid of two by two
