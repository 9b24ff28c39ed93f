"""What cameras and networks do, done for real: each test's name says what must happen then.

Against GStreamer's RTSP server, a fault-injecting proxy and a small HTTP server. The faults of pictures and faces
(frozen, looped, nobody, a crowd) and of outputs (disk full, window closed) are in the test files of those modules.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from stream.errors import SourceBroken, SourceError, SourceNotFound, SourceRefused
from stream.records import Frame
from stream.sources import Phase, Source, SourceOptions, open_source, read_file
from tests.clips import frame_number, write_clip
from tests.noisy import noisy
from tests.proxy import FaultProxy
from tests.rtsp import RtspServer, free_port, needs_rtsp
from tests.web import serve

LONG_S = 30.0
NOTICED_S = 3.0
SLACK_S = 1.5  # what a busy machine may add


def watch(source: Source, until: Callable[[Frame | None], bool], limit_s: float = LONG_S) -> list[Frame]:
    """Take frames until one of them (or None, when none came for a moment) is what was waited for."""
    frames, end_s = list[Frame](), time.monotonic() + limit_s
    while time.monotonic() < end_s:
        frame = source.next_frame(0.05)
        if frame:
            frames.append(frame)
        if until(frame):
            assert all(b.pts_s > a.pts_s and b.epoch >= a.epoch for a, b in pairwise(frames))
            return frames
    raise AssertionError(f"waited {limit_s} s in vain: {source.status}")


def running(source: Source, frames: int = 3) -> list[Frame]:
    """Wait until so many more frames came."""
    wanted = source.status.frames + frames
    return watch(source, lambda frame: frame is not None and source.status.frames >= wanted)


def lost(source: Source, limit_s: float = LONG_S) -> float:
    """Wait for the loss; the seconds that it took to notice."""
    began_s = time.monotonic()
    watch(source, lambda _: source.status.phase is Phase.LOST, limit_s)
    return time.monotonic() - began_s


def back(source: Source) -> Frame:
    """Wait until pictures come again; the first of them that was taken."""
    return watch(source, lambda frame: frame is not None and source.status.phase is Phase.RUNNING)[-1]


def refused(url: str, options: SourceOptions | None = None) -> SourceError:
    """What is raised to who opens this."""
    with pytest.raises(SourceError) as raised:
        open_source(url, options).__enter__()
    return raised.value


def test_a_refused_connection_says_so_at_once() -> None:
    error = refused(f"rtsp://user:secret@127.0.0.1:{free_port()}/cam")
    assert isinstance(error, SourceRefused)
    assert "refuses the connection" in str(error)
    assert "secret" not in str(error)


def test_a_host_that_does_not_exist_is_not_found() -> None:
    error = refused("rtsp://no-such-host.invalid/cam")
    assert isinstance(error, SourceNotFound)


@needs_rtsp
def test_an_unknown_path_is_not_found() -> None:
    with RtspServer() as url:
        error = refused(url.replace("/cam", "/other"))
    assert isinstance(error, SourceNotFound)
    assert "check the path" in str(error)


@needs_rtsp
@pytest.mark.parametrize("auth", ["basic", "digest"])
def test_a_wrong_password_is_refused_and_a_right_one_with_awkward_characters_is_not(auth: str) -> None:
    with RtspServer(gop=5, auth=auth, user="u ser", password="p@s/s:#?w") as url:
        error = refused(url.replace("p%40s%2Fs", "wrong"))
        with open_source(url) as source:
            running(source)
    assert isinstance(error, SourceRefused)
    assert "password" in str(error)
    assert "wrong" not in str(error)


@needs_rtsp
def test_a_password_that_is_changed_while_watching_is_told_and_tried_on() -> None:
    server = RtspServer(gop=5, auth="digest", user="u", password="first")
    with server as url, open_source(url) as source:
        running(source)
        server.kill()
        server._password = "second"
        server.start()
        watch(source, lambda _: "password" in (source.status.error or ""))
        assert "first" not in repr(source.status)
        server.kill()
        server._password = "first"
        server.start()
        assert back(source).epoch == 1


@needs_rtsp
def test_a_killed_server_is_a_loss_at_once_and_watched_again_when_it_is_back() -> None:
    server = RtspServer(gop=5)
    with server as url, open_source(url) as source:
        before = running(source)[-1]
        server.kill()
        assert lost(source) < 1 + SLACK_S
        assert "ended the stream" in str(source.status.error)
        server.start()
        frame = back(source)
        assert frame.epoch == 1
        assert frame.pts_s - before.pts_s >= 0.5  # the time without pictures counts
        assert source.status.connections == 2
        assert source.status.error is None


@needs_rtsp
def test_after_a_kill_in_the_middle_of_a_gop_the_next_picture_is_a_whole_one() -> None:
    server = RtspServer(gop=50, pattern="snow", kbit=1500)
    with server as url, open_source(url) as source:
        running(source, 20)
        server.kill()
        lost(source)
        server.start()
        # a picture without its keyframe would be gray mud; snow is loud
        assert float(back(source).picture.bgr().std()) > 40


@needs_rtsp
def test_who_joins_in_the_middle_of_a_gop_waits_for_the_keyframe() -> None:
    with RtspServer(gop=40, pattern="snow", kbit=1500, shared=True) as url, open_source(url) as first:
        running(first, 10)
        with open_source(url) as second:
            frame = running(second, 1)[0]
    assert float(frame.picture.bgr().std()) > 40


@needs_rtsp
def test_a_restart_with_another_size_is_a_new_epoch_in_that_size() -> None:
    server = RtspServer(gop=5, size=(320, 240))
    with server as url, open_source(url) as source:
        running(source)
        server.kill()
        server.start(size=(640, 360))
        frame = watch(source, lambda frame: frame is not None and frame.epoch > 0)[-1]
    assert (frame.epoch, frame.picture.width, frame.picture.height) == (1, 640, 360)


@needs_rtsp
@pytest.mark.parametrize("codec", ["h265", "mjpeg"])
def test_a_restart_with_another_codec_is_a_new_epoch_and_goes_on(codec: str) -> None:
    server = RtspServer(gop=5)
    with server as url, open_source(url) as source:
        running(source)
        server.kill()
        server.start(codec=codec)
        assert watch(source, lambda frame: frame is not None and frame.epoch > 0)[-1].epoch == 1
        running(source)


@needs_rtsp
def test_a_restart_with_another_frame_rate_keeps_true_time() -> None:
    server = RtspServer(gop=5, fps=25)
    with server as url, open_source(url) as source:
        running(source)
        server.kill()
        server.start(fps=10)
        watch(source, lambda frame: frame is not None and frame.epoch > 0)
        steps = [b.pts_s - a.pts_s for a, b in pairwise(running(source, 6)) if b.index == a.index + 1]
    assert steps == pytest.approx([0.1] * len(steps), abs=0.002)
    assert steps


@needs_rtsp
def test_a_server_that_accepts_and_stays_silent_does_not_answer() -> None:
    with RtspServer() as url, FaultProxy(int(url.split(":")[2].split("/")[0])) as proxy:
        proxy.silent()
        began_s = time.monotonic()
        error = refused(proxy.through(url), SourceOptions(open_timeout_s=1.0))
    assert "check" in str(error)
    assert time.monotonic() - began_s < 3 + SLACK_S


@needs_rtsp
def test_a_stalled_server_is_lost_within_three_seconds_and_watched_again_when_it_resumes() -> None:
    server = RtspServer(gop=5)
    with server as url, open_source(url) as source:
        running(source)
        server.stall()
        assert lost(source) < NOTICED_S + SLACK_S
        assert "fell silent" in str(source.status.error)
        server.resume()
        assert back(source).epoch == 1


@needs_rtsp
def test_a_half_open_connection_is_lost_within_three_seconds() -> None:
    server = RtspServer(gop=5)
    with server as url, FaultProxy(server.port) as proxy, open_source(proxy.through(url)) as source:
        running(source)
        proxy.stall()
        server.kill()  # nobody tells the client
        assert lost(source) < NOTICED_S + SLACK_S
        server.start()
        proxy.flow()
        assert back(source).epoch == 1


@needs_rtsp
def test_a_cut_connection_is_made_again() -> None:
    server = RtspServer(gop=5)
    with server as url, FaultProxy(server.port) as proxy, open_source(proxy.through(url)) as source:
        running(source)
        proxy.cut()
        assert lost(source) < 1 + SLACK_S
        assert back(source).epoch == 1
        assert proxy.accepted == 2


@needs_rtsp
def test_too_little_bandwidth_is_a_loss_and_never_a_growing_backlog() -> None:
    server = RtspServer(gop=5, pattern="snow", kbit=2000, size=(640, 480))
    with server as url, FaultProxy(server.port) as proxy, open_source(proxy.through(url)) as source:
        running(source)
        proxy.slow(20_000)
        lost(source, 20)
        proxy.flow()
        back(source)


@needs_rtsp
def test_corrupted_bytes_neither_crash_nor_give_a_smeared_picture() -> None:
    server = RtspServer(gop=5, pattern="white", size=(320, 240))
    with server as url, FaultProxy(server.port) as proxy, open_source(proxy.through(url)) as source:
        running(source)
        proxy.corrupt(0.002)
        seen = watch(source, lambda _: source.status.damaged > 5 or source.status.connections > 1)
        proxy.flow()
        seen += running(source, 25)
    assert min(float(frame.picture.bgr().mean()) for frame in seen) > 225


@needs_rtsp
def test_lost_udp_packets_cost_pictures_but_not_the_connection() -> None:
    with (
        RtspServer(gop=5, loss=0.02, pattern="snow", size=(640, 480), kbit=2000) as url,
        open_source(url, SourceOptions(rtsp_transport="udp")) as source,
    ):
        frames = watch(source, lambda frame: frame is not None and frame.index >= 30 and source.status.damaged > 0)
        assert source.status.connections == 1
    assert {frame.epoch for frame in frames} == {0}
    assert max(b.pts_s - a.pts_s for a, b in pairwise(frames)) > 0.06  # what is missing is a gap, not closed up


@needs_rtsp
@pytest.mark.parametrize(("codec", "encoder"), [("h264", "libx264"), ("h265", "libx265")])
def test_whatever_udp_loses_each_picture_is_one_that_was_sent(tmp_path: Path, codec: Any, encoder: Any) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(noisy("mp4", encoder, count=100, gop=5))
    sent = {frame.picture.bgr().tobytes() for frame in read_file(clip)}
    options = SourceOptions(rtsp_transport="udp")
    with RtspServer(file=clip, codec=codec, loss=0.02) as url, open_source(url, options) as source:
        frames = watch(source, lambda frame: frame is not None and frame.index >= 60 and source.status.damaged > 0)
    assert not [frame.index for frame in frames if frame.picture.bgr().tobytes() not in sent]


@needs_rtsp
def test_a_silent_udp_stream_is_lost_within_three_seconds() -> None:
    server = RtspServer(gop=5)
    with server as url, open_source(url, SourceOptions(rtsp_transport="udp")) as source:
        running(source)
        server.stall()
        assert lost(source) < NOTICED_S + SLACK_S


@needs_rtsp
def test_after_a_stall_of_the_detector_the_next_frame_is_the_newest() -> None:
    with RtspServer(gop=5) as url, open_source(url) as source:
        running(source, 1)
        wanted = source.status.frames + 50
        while source.status.frames < wanted:  # two seconds in which nobody takes a frame
            time.sleep(0.01)
        taken_s, frame = time.monotonic(), source.next_frame(1.0)
        assert frame is not None
        assert frame.dropped >= 48
        assert taken_s - frame.arrived_s <= 0.04 + 0.1


@needs_rtsp
def test_a_file_and_the_same_file_served_give_the_same_pictures(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=40, fps=10)
    with RtspServer(file=clip) as url, open_source(url) as source:
        served = watch(source, lambda _: source.status.phase is Phase.LOST)
    own = {frame_number(f): f.picture.bgr() for f in read_file(clip) if f.index < 20}
    assert len(served) >= 20
    for frame in served:
        assert np.array_equal(frame.picture.bgr(), own[frame_number(frame)])


@pytest.mark.parametrize(("status", "kind"), [(401, SourceRefused), (403, SourceRefused), (404, SourceNotFound)])
def test_an_http_error_says_what_it_means(status: int, kind: type[SourceError]) -> None:
    with serve(status=status) as url:
        assert isinstance(refused(url), kind)


def test_a_web_page_is_not_a_video() -> None:
    with serve(b"<html>" + b"log in, please " * 1000, "text/html") as url:
        error = refused(url)
    assert isinstance(error, SourceBroken)
    assert "no video" in str(error)


def test_the_end_of_a_served_stream_is_a_disconnect_and_it_is_asked_for_again(tmp_path: Path) -> None:
    body = write_clip(tmp_path / "clip.ts", frames=25).read_bytes()
    with serve(body) as url, open_source(url) as source:
        watch(source, lambda frame: frame is not None and frame.epoch == 1)
        assert source.status.connections == 2


def test_a_clock_that_jumps_back_within_a_stream_starts_a_new_epoch_and_time_goes_on(tmp_path: Path) -> None:
    late = write_clip(tmp_path / "late.ts", frames=25, times=range(25_000, 25_025)).read_bytes()
    early = write_clip(tmp_path / "early.ts", frames=25).read_bytes()
    with serve(late + early, bytes_per_s=200_000) as url, open_source(url) as source:
        frames = watch(source, lambda frame: frame is not None and frame.epoch > 0)
        assert source.status.connections == 1
    assert frames[-1].epoch == 1
    assert frames[-1].pts_s < 60


def test_a_clock_that_jumps_forward_within_a_stream_starts_a_new_epoch_and_invents_no_hours(tmp_path: Path) -> None:
    early = write_clip(tmp_path / "early.ts", frames=25).read_bytes()
    late = write_clip(tmp_path / "late.ts", frames=25, times=range(250_000, 250_025)).read_bytes()
    with serve(early + late, bytes_per_s=200_000) as url, open_source(url) as source:
        frames = watch(source, lambda frame: frame is not None and frame.epoch > 0)
        assert source.status.connections == 1
    assert frames[-1].epoch == 1
    assert frames[-1].pts_s < 60


def test_a_new_size_within_a_stream_is_a_new_epoch_and_nothing_is_rescaled(tmp_path: Path) -> None:
    small = write_clip(tmp_path / "small.ts", frames=25, size=(64, 48)).read_bytes()
    large = write_clip(tmp_path / "large.ts", frames=25, size=(128, 96), times=range(25, 50)).read_bytes()
    with serve(small + large, bytes_per_s=200_000) as url, open_source(url) as source:
        frames = watch(source, lambda frame: frame is not None and frame.epoch > 0)
        assert source.status.connections == 1
    assert {f.picture.width for f in frames if f.epoch == 0} == {64}
    assert {f.picture.width for f in frames if f.epoch == 1} == {128}


def test_a_recording_at_an_http_address_plays_at_its_own_speed_and_ends(tmp_path: Path) -> None:
    body = write_clip(tmp_path / "clip.mkv", frames=25).read_bytes()
    with serve(body, "video/x-matroska") as url, open_source(f"{url}.mkv?token=1") as source:
        began_s = time.monotonic()
        frames = list(source)
        assert time.monotonic() - began_s > 0.8
        assert source.status.phase is Phase.ENDED
    assert frames[-1].index == 24


def test_a_stream_without_time_stamps_is_timed_by_arrival(tmp_path: Path) -> None:
    body = write_clip(tmp_path / "clip.h264", frames=50).read_bytes()
    with serve(body, "video/h264", bytes_per_s=20_000) as url, open_source(url) as source:
        frames = watch(source, lambda frame: frame is not None and frame.index >= 30)
    for a, b in pairwise(frames):
        if b.epoch == a.epoch:
            assert b.pts_s - a.pts_s == pytest.approx(b.arrived_s - a.arrived_s, abs=0.002 * (b.index - a.index))


def test_the_end_of_a_file_is_the_end(tmp_path: Path) -> None:
    with open_source(str(write_clip(tmp_path / "clip.mp4", frames=5))) as source:
        assert len(list(source)) == 5
        assert source.status.phase is Phase.ENDED


@needs_rtsp
def test_a_server_that_sends_slices_as_pictures_is_watched_whole_and_never_green(tmp_path: Path) -> None:
    clip = tmp_path / "sliced.mp4"
    chance = np.random.default_rng(5)
    picture = np.repeat(np.repeat(chance.integers(90, 160, (12, 16, 1), dtype=np.uint8), 20, 0), 20, 1).repeat(3, 2)
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "10", "bf": "0", "x264-params": "slices=4"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for index in range(100):
            shown = av.VideoFrame.from_ndarray(picture, format="bgr24")
            shown.pts, shown.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(shown))
        container.mux(stream.encode(None))
    with RtspServer(file=clip) as url, open_source(url) as source:
        frames = running(source, 40)
    apart = [int(np.abs(f.picture.bgr().astype(int) - picture).max()) for f in frames]
    assert frames and max(apart) < 40
