"""Recorded files: every frame, once, in order; damaged and turned ones too; at their own speed on request."""

from __future__ import annotations

import struct
import threading
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from stream.errors import DeviceError, SourceBroken, SourceNotFound
from stream.sources import FileSource, Phase, SourceOptions, open_source, read_file
from stream.sources.base import Clock
from stream.sources.files import file_samples
from stream.sources.pace import paced
from tests.clips import frame_number, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")


def test_a_file_gives_every_frame_once_and_in_order(clip: Path) -> None:
    frames = list(read_file(clip))
    assert [f.index for f in frames] == list(range(50))
    assert [frame_number(f) for f in frames] == [i % 20 for i in range(50)]
    assert [f.pts_s for f in frames] == pytest.approx([i / 25 for i in range(50)])
    assert {f.epoch for f in frames} == {0}


def test_a_file_source_drops_nothing_and_ends(clip: Path) -> None:
    with open_source(str(clip)) as source:
        assert not source.live
        assert [f.index for f in source] == list(range(50))
        assert (source.status.phase, source.status.frames, source.status.dropped) == (Phase.ENDED, 50, 0)
        assert source.next_frame(1.0) is None


def test_a_closed_file_source_gives_nothing_more(clip: Path) -> None:
    with FileSource(clip) as source:
        assert source.next_frame(0.0) is not None
        source.close()
        assert source.next_frame(0.0) is None


def test_a_long_gap_in_a_file_stays_a_gap(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "gap.mkv", frames=4, times=[0, 1, 1000, 1001])
    frames = list(read_file(clip))
    assert [f.pts_s for f in frames] == pytest.approx([0.0, 0.04, 40.0, 40.04])
    assert {f.epoch for f in frames} == {0}


def test_no_such_file_is_not_found() -> None:
    with pytest.raises(SourceNotFound, match=r"^no file nowhere\.mp4: check the path$"):
        open_source("nowhere.mp4").__enter__()


def test_a_text_file_is_not_a_video(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    with pytest.raises(SourceBroken, match="is not a video that can be read"):
        open_source(str(text)).__enter__()


def test_an_empty_file_is_not_a_video(tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    with pytest.raises(SourceBroken):
        list(read_file(empty))


def test_a_sound_file_holds_no_video_stream(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    with pytest.raises(SourceBroken, match="holds no video stream"):
        list(read_file(tmp_path / "sound.wav"))


def test_a_file_cut_off_in_the_middle_gives_what_is_there(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mkv").read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    frames = list(read_file(cut))
    assert 10 < len(frames) < 50
    assert [f.index for f in frames] == list(range(len(frames)))


def test_damage_in_the_middle_of_a_file_does_not_end_it(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.ts", codec="mpeg2video")
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
    clip.write_bytes(data)
    frames = list(read_file(clip))
    assert frames[-1].pts_s - frames[0].pts_s > 1.8
    assert all(b.pts_s > a.pts_s for a, b in pairwise(frames))


def turned(clip: Path, matrix: tuple[int, int, int, int]) -> Path:
    """The MP4 with another display matrix (a, b, c, d), as a telephone writes it that is held otherwise."""
    data = bytearray(clip.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    struct.pack_into(">9i", data, at, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    clip.write_bytes(data)
    return clip


@pytest.mark.parametrize(
    ("matrix", "dark"),
    [
        ((1, 0, 0, 1), (slice(None), slice(0, 8))),  # as it is: dark on the left
        ((0, 1, -1, 0), (slice(0, 8), slice(None))),  # a quarter clockwise: dark on top
        ((-1, 0, 0, -1), (slice(None), slice(-8, None))),
        ((0, -1, 1, 0), (slice(-8, None), slice(None))),
    ],
)
def test_a_clip_of_a_turned_telephone_is_shown_upright(
    tmp_path: Path, matrix: tuple[int, int, int, int], dark: tuple[slice, slice]
) -> None:
    picture = np.full((48, 64, 3), 200, np.uint8)
    picture[:, :16] = 20
    clip = turned(write_clip(tmp_path / "clip.mp4", frames=3, picture=picture), matrix)
    shown = next(read_file(clip)).picture
    assert (shown.width, shown.height) == ((64, 48) if matrix[0] else (48, 64))
    assert shown.bgr()[dark].mean() < 60
    assert shown.bgr().mean() > 140


def test_realtime_waits_until_each_frame_is_due(clip: Path) -> None:
    now_s, waits = [100.0], []

    def wait(_: threading.Event, seconds: float) -> bool:
        waits.append(seconds)
        now_s[0] += seconds
        return False

    samples = paced(file_samples(clip), threading.Event(), Clock(lambda: now_s[0], wait))
    assert len(list(samples)) == 50
    assert waits == pytest.approx([0.04] * 49)


def test_realtime_gives_late_frames_at_once(clip: Path) -> None:
    now_s = [0.0]

    def slow() -> float:
        now_s[0] += 1.0
        return now_s[0]

    waits = list[float]()
    clock = Clock(slow, lambda _, seconds: bool(waits.append(seconds)))
    assert len(list(paced(file_samples(clip), threading.Event(), clock))) == 50
    assert waits == []


def test_realtime_stops_waiting_when_the_source_is_closed(clip: Path) -> None:
    clock = Clock(lambda: 0.0, lambda _closed, _seconds: True)
    assert len(list(paced(file_samples(clip), threading.Event(), clock))) == 1


def test_a_realtime_file_is_live_and_ends(clip: Path) -> None:
    with open_source(str(clip), SourceOptions(realtime=True)) as source:
        assert source.live
        frames = list(source)
    assert frames[-1].index == 49
    assert len(frames) + frames[-1].dropped == 50
    assert source.status.phase is Phase.ENDED


def test_a_realtime_file_that_is_missing_says_so() -> None:
    with pytest.raises(SourceNotFound):
        open_source("nowhere.mp4", SourceOptions(realtime=True)).__enter__()


def test_hardware_decoding_never_falls_back_silently(tmp_path: Path) -> None:
    # no graphics processor decodes Sorenson's H.263: with one or without, this must fail
    clip = write_clip(tmp_path / "clip.avi", codec="flv")
    with pytest.raises(DeviceError, match="cannot be decoded by cuda"):
        list(read_file(clip, hwaccel="cuda"))
