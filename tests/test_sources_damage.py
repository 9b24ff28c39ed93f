"""What is lost on the way never comes back as a smear: each picture that is given is the very one that was sent."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import av
import pytest

from stream.sources.base import Sample
from stream.sources.damage import listen, numbered, received, suspected
from stream.sources.video import Packets, joined, samples, video_stream
from tests.noisy import noisy

COUNT = 30


def played(data: bytes, form: str) -> list[Sample]:
    """What a live source makes of a stream with these bytes."""
    with av.open(io.BytesIO(data), format=form) as container:
        stream = video_stream(container, "stream")
        stream.thread_type = "NONE"
        return list(samples(stream, joined(stream, numbered(stream, suspected(container.demux(stream)))), live=True))


def given(data: bytes, whole: bytes, form: str = "h264") -> tuple[list[int], int]:
    """Which of the whole stream's pictures come of ``data``, byte for byte, and how many are told as damaged.

    A picture that was never sent is -1.
    """
    sent = {s.picture.bgr().tobytes(): i for i, s in enumerate(played(whole, form)) if s.picture}
    assert len(sent) == COUNT
    got = played(data, form)
    return [sent.get(s.picture.bgr().tobytes(), -1) for s in got if s.picture], sum(not s.picture for s in got)


def units(data: bytes) -> list[bytes]:
    """The NAL units of a stream."""
    return [unit.removesuffix(b"\0") for unit in data.split(b"\0\0\1")[1:]]


def put(parts: list[bytes]) -> bytes:
    return b"".join(b"\0\0\0\1" + part for part in parts)


def slices(parts: list[bytes]) -> list[int]:
    """Where the slices of pictures are among H.264's NAL units."""
    return [at for at, part in enumerate(parts) if part[0] & 31 in (1, 5)]


STREAMS: dict[str, dict[str, Any]] = {
    "as cameras send": {},
    "baseline": {"cabac": 0, "8x8dct": 0},
    "several references": {"ref": 4},
    "scaling lists": {"cqm": "jvt"},
    "fields": {"tff": 1},
    "four slices": {"slices": 4},
    "numbers that wrap": {"gop": 100},
    "referred and unreferred": {"bframes": 1, "b_adapt": 0},
    "a pyramid": {"bframes": 3, "b_adapt": 0, "b_pyramid": "normal"},
    "open groups": {"open_gop": 1, "bframes": 2, "b_adapt": 0},
}


@pytest.mark.parametrize("x264", STREAMS.values(), ids=STREAMS.keys())
def test_nothing_is_held_back_of_a_whole_stream(x264: dict[str, Any]) -> None:
    whole = noisy("h264", **x264)
    assert given(whole, whole) == (list(range(COUNT)), 0)


@pytest.mark.parametrize("form", ["flv", "matroska", "mpegts"])
def test_nothing_is_held_back_of_a_whole_stream_in_a_container(form: str) -> None:
    whole = noisy(form, size=(48, 32))  # NAL units of 256 to 511 bytes, whose length looks like a start code
    assert given(whole, whole, form) == (list(range(COUNT)), 0)


@pytest.mark.parametrize("x264", [{}, {"cabac": 0, "8x8dct": 0}, {"ref": 4}, {"tff": 1}, {"cqm": "jvt"}])
def test_after_a_lost_picture_nothing_is_given_until_the_next_keyframe(x264: dict[str, Any]) -> None:
    whole = noisy("h264", **x264)
    parts = units(whole)
    del parts[slices(parts)[13]]
    assert given(put(parts), whole) == ([*range(13), *range(20, 30)], 6)


def test_after_a_lost_keyframe_nothing_is_given_until_the_next_one() -> None:
    whole = noisy("h264")
    parts = units(whole)
    del parts[slices(parts)[10]]
    assert given(put(parts), whole) == ([*range(10), *range(20, 30)], 9)


def test_a_lost_picture_is_noticed_where_the_numbers_wrap() -> None:
    whole = noisy("h264", gop=100)
    parts = units(whole)
    del parts[slices(parts)[16]]
    assert given(put(parts), whole) == ([*range(16)], 13)


def test_a_lost_picture_that_nobody_refers_to_costs_no_other() -> None:
    whole = noisy("h264", bframes=1, b_adapt=0)
    parts = units(whole)
    lost = next(at for at in slices(parts)[13:] if not parts[at][0] >> 5 & 3)
    del parts[lost]
    numbers, damaged = given(put(parts), whole)
    assert (len(numbers), damaged) == (COUNT - 1, 0)
    assert -1 not in numbers


def test_one_lost_slice_of_four_costs_its_picture_and_those_that_rest_on_it() -> None:
    whole = noisy("h264", slices=4)
    parts = units(whole)
    del parts[slices(parts)[4 * 13 + 2]]
    assert given(put(parts), whole) == ([*range(13), *range(20, 30)], 7)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_slice_that_was_cut_off_costs_its_picture_and_those_that_rest_on_it(share: float) -> None:
    whole = noisy("h264")
    parts = units(whole)
    at = slices(parts)[13]
    parts[at] = parts[at][: int(share * len(parts[at]))]
    assert given(put(parts), whole) == ([*range(13), *range(20, 30)], 7)


def test_of_a_lost_picture_in_h265_nothing_that_rests_on_it_is_given() -> None:
    whole = noisy("hevc", "libx265")
    parts = units(whole)
    pictures = [at for at, part in enumerate(parts) if part[0] >> 1 & 63 < 32]
    del parts[pictures[13]]
    assert given(put(parts), whole, "hevc")[0] == [*range(13), *range(20, 30)]


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize(("lost", "kept"), [(13, 12), (10, 9)], ids=["picture", "keyframe"])
def test_what_a_lost_packet_of_a_transport_stream_belonged_to_is_not_given(codec: Any, lost: int, kept: int) -> None:
    whole = noisy("mpegts", codec)
    cells = [whole[at : at + 188] for at in range(0, len(whole), 188)]
    begins = [at for at, cell in enumerate(cells) if cell[1] & 0x40 and (cell[1] & 0x1F, cell[2]) == (1, 0)]
    del cells[begins[lost] + 1]
    assert given(b"".join(cells), whole, "mpegts") == ([*range(kept), *range(20, 30)], 20 - kept)


def told(lost: list[int], keyframes: list[int], opened: bool = False, count: int = 12) -> list[int]:
    """Which packets are marked where FFmpeg tells of lost RTP packets while it gives those of ``lost``."""

    def demux() -> Iterator[av.Packet[av.VideoStream]]:
        for index in range(count):
            packet = cast("av.Packet[av.VideoStream]", av.Packet(b"a picture"))
            packet.is_keyframe = index in keyframes
            if index in lost:
                av.logging.log(av.logging.WARNING, "rtsp", "RTP: missed 3 packets\n")
            yield packet

    packets: Packets = demux()
    return [index for index, packet in enumerate(suspected(received(packets), opened)) if packet.is_corrupt]


@pytest.fixture
def listening() -> Iterator[None]:
    level: Any = av.logging.get_level()
    listen()
    yield
    av.logging.set_level(level)


@pytest.mark.usefixtures("listening")
def test_lost_rtp_packets_mark_the_picture_that_is_given_then_and_the_next() -> None:
    assert told([3, 7], [0, 5]) == [3, 4, 7, 8]


@pytest.mark.usefixtures("listening")
def test_rtp_packets_that_were_lost_while_opening_mark_all_up_to_the_second_keyframe() -> None:
    assert told([], [0, 5], opened=True) == [0, 1, 2, 3, 4]


CLOSES = """
import sys
from pathlib import Path
from stream.sources import FileSource
from stream.sources.damage import listen
listen()
for count in range(1, 5):
    with FileSource(Path(sys.argv[1])) as source:
        for _ in range(count):
            source.next_frame(0.0)
"""


def test_where_ffmpeg_is_listened_to_a_damaged_file_can_be_closed_while_it_is_decoded(tmp_path: Path) -> None:
    parts = units(noisy("h264", size=(640, 480)))
    for at in slices(parts)[1:]:
        parts[at] = parts[at][:200] + bytes(len(parts[at]) - 400) + parts[at][-200:]
    file = tmp_path / "damaged.h264"
    file.write_bytes(put(parts))
    subprocess.run([sys.executable, "-c", CLOSES, str(file)], timeout=120, check=True)  # else it hangs for ever
