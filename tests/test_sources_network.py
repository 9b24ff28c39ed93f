"""Network streams without a network: URLs as FFmpeg takes them, and when a stream is too far behind to go on."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from av.codec.hwaccel import HWAccel

from stream.errors import DeviceError, SourceBroken
from stream.pictures import ArrayPicture
from stream.sources import SourceOptions
from stream.sources.base import Sample
from stream.sources.network import _Health, connectable, network_samples

PICTURE = ArrayPicture(np.zeros((16, 16, 3), np.uint8))


@pytest.mark.parametrize(
    ("pasted", "given"),
    [
        ("rtsp://cam:554/live?channel=1", "rtsp://cam:554/live?channel=1"),
        ("rtsp://u:p@cam/live", "rtsp://u:p@cam/live"),
        ("rtsp://u:p%40w@cam/live", "rtsp://u:p%40w@cam/live"),
        ("rtsp://u:p@w@cam/live", "rtsp://u:p%40w@cam/live"),
        ("rtsp://u:p/w?x#y@cam:554/live", "rtsp://u:p%2Fw%3Fx%23y@cam:554/live"),
        ("rtsp://u:pä ö@cam/live", "rtsp://u:p%C3%A4%20%C3%B6@cam/live"),
        ("rtsp://cam:554/live/me@home", "rtsp://cam:554/live/me@home"),
        ("http://cam/a@b?c=d@e", "http://cam/a@b?c=d@e"),
    ],
)
def test_passwords_with_raw_characters_reach_ffmpeg_escaped(pasted: str, given: str) -> None:
    assert connectable(pasted) == given


class Run:
    """A stream's health with a clock of its own and a decoder that remembers what it skips."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.codec = SimpleNamespace(skip_frame="DEFAULT")
        stream: Any = SimpleNamespace(codec_context=self.codec)
        self.health = _Health(stream, "cam", lambda: self.now_s)

    def picture(self, pts_s: float, now_s: float) -> None:
        self.now_s = now_s
        self.health.check(Sample(PICTURE, pts_s))


def test_a_stream_that_lags_a_second_is_decoded_by_keyframes_until_it_caught_up() -> None:
    run, skips = Run(), []
    for pts_s, now_s in ((0, 0), (1, 1.5), (2, 3.1), (3, 3.5), (4, 4.1)):
        run.picture(pts_s, now_s)
        skips.append(run.codec.skip_frame)
    assert skips == ["DEFAULT", "DEFAULT", "NONKEY", "NONKEY", "DEFAULT"]


def test_a_stream_that_lags_five_seconds_is_cut() -> None:
    run = Run()
    run.picture(0, 0)
    run.picture(1, 3.9)
    run.picture(2, 6.8)
    with pytest.raises(SourceBroken, match="cam runs 6 s behind"):
        run.picture(3, 9.0)


def test_data_without_a_whole_picture_is_a_loss_after_fifteen_seconds() -> None:
    run = Run()
    packets: Any = run.health.packets(iter(range(20)))  # type: ignore[arg-type]
    with pytest.raises(SourceBroken, match="no whole picture for 15 s"):
        for _ in packets:
            run.now_s += 1.0
    assert run.now_s == 16.0


def opened(url: str, options: SourceOptions, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What ``av.open`` is called with."""
    seen = dict[str, Any]()

    def refuse(url: str, **how: Any) -> None:
        seen.update(how, url=url)
        raise av.error.ConnectionRefusedError(111, "refused", url)

    monkeypatch.setattr(av, "open", refuse)
    with pytest.raises(Exception, match="refuses"):
        next(network_samples(url, options, threading.Event()))
    return seen


def test_rtsp_is_opened_over_tcp_with_both_timeouts_and_little_probing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = opened("rtsp://cam/live", SourceOptions(open_timeout_s=4.0, silence_s=2.0), monkeypatch)
    assert seen["timeout"] == (4.0, 1.0)
    assert seen["options"] == {
        "flags": "low_delay",
        "timeout": "4000000",
        "rtsp_transport": "tcp",
        "allowed_media_types": "video",
        "probesize": "32",
        "analyzeduration": "0",
    }


def test_the_rtsp_transport_is_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = opened("rtsp://cam/live", SourceOptions(rtsp_transport="udp"), monkeypatch)
    assert seen["options"]["rtsp_transport"] == "udp"


def test_hardware_decoding_is_asked_for_without_a_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = opened("rtsp://cam/live", SourceOptions(hwaccel="cuda"), monkeypatch)
    assert isinstance(seen["hwaccel"], HWAccel)
    assert not seen["hwaccel"].allow_software_fallback


@pytest.mark.parametrize("error", [RuntimeError("no stream is compatible"), av.error.PermissionError(1, "EPERM")])
def test_a_hardware_decoder_that_is_not_there_is_a_device_error(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(av, "open", fail)
    with pytest.raises(DeviceError, match="cannot be decoded by cuda"):
        next(network_samples("rtsp://cam/live", SourceOptions(hwaccel="cuda"), threading.Event()))
