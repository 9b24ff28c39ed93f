"""The recording: the stream's own times, and nothing lost that was written, whatever ends it."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from stream.contract import Thresholds
from stream.errors import OutputError
from stream.looks import Look, Play, Status
from stream.pictures import ArrayPicture
from stream.records import Frame, Image
from stream.sinks.recording import Recording


def picture(seed: int, width: int = 64, height: int = 48) -> Image:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


def times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [round(float(frame.time), 4) for frame in container.decode(video=0) if frame.time is not None]


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file can grow beyond ``size`` bytes: what a full disk does, with another error code."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frames_keep_the_streams_own_uneven_times(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    shown = [7.0, 7.04, 7.08, 9.5, 9.54]
    with Recording(path, Thresholds()) as recording:
        for index, at_s in enumerate(shown):
            recording.add(picture(index), at_s)
    assert times(path) == pytest.approx([at_s - 7.0 for at_s in shown], abs=1e-3)


def test_only_fresh_looks_are_recorded_with_their_overlay(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    plain = np.full((96, 160, 3), 200, np.uint8)
    status = Status("door", "door", Play.PLAYING)
    with Recording(path, Thresholds()) as recording:
        for index, fresh in enumerate((True, False, True)):
            recording.write(Look(Frame(index, index / 25, ArrayPicture(plain)), fresh, (), status, 0.0))
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert len(pictures) == 2
    assert abs(int(pictures[0][5, 80, 0]) - 200) <= 8  # the picture itself
    assert int(pictures[0][94, 150, 0]) < 120  # the bar of the status line


def test_a_new_size_goes_on_in_a_second_file(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with Recording(path, Thresholds()) as recording:
        recording.add(picture(1), 0.0)
        recording.add(picture(2, 80, 64), 0.04)
        recording.add(picture(3, 80, 64), 0.08)
    assert recording.files == [path, tmp_path / "out-2.mp4"]
    assert [len(times(file)) for file in recording.files] == [1, 2]


def test_an_odd_size_loses_its_last_row_and_column(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with Recording(path, Thresholds()) as recording:
        recording.add(picture(1, 65, 49), 0.0)
    with av.open(str(path)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (64, 48)


def test_an_exception_in_the_block_still_finishes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt), Recording(path, Thresholds()) as recording:
        for index in range(5):
            recording.add(picture(index), index / 25)
        raise KeyboardInterrupt
    assert len(times(path)) == 5


def test_a_full_disk_is_told_and_what_was_written_can_be_played(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    told = pytest.raises(OutputError, match=r"had to end: .*; what was written before is kept in .*out\.mp4")
    with told, room(1_500_000), Recording(path, Thresholds()) as recording:
        for index in range(400):
            recording.add(picture(index, 320, 240), index / 25)
    assert path.stat().st_size <= 1_500_000
    with av.open(str(path)) as container:
        decoded = sum(1 for packet in container.demux(video=0) if packet.size)
    assert decoded >= 25


def test_no_recording_is_ever_lost_to_another(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists already: remove it or choose another name"):
        Recording(path, Thresholds())
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("name", "why"), [("out.avi", "must end in .mp4 or .mkv"), ("no/out.mp4", "there is no folder")]
)
def test_a_place_that_cannot_be_recorded_to_is_told(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(OutputError, match=why):
        Recording(tmp_path / name, Thresholds())
