"""What the user calls a source is taken for what it is."""

from __future__ import annotations

import pytest

from stream.errors import UsageError
from stream.sources import FileSource, LiveSource, SourceOptions, open_source


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("0", "webcam 0"),
        ("/dev/video2", "webcam /dev/video2"),
        ("rtsp://u:p@cam/live", "rtsp://***@cam/live"),
        ("RTSPS://cam/live", "RTSPS://cam/live"),
        ("https://cam/stream.m3u8?token=1", "https://cam/stream.m3u8?token=***"),
        ("screen", "screen"),
        ("screen:640x480+0+0", "screen:640x480+0+0"),
    ],
)
def test_cameras_streams_and_the_screen_are_live(uri: str, name: str) -> None:
    source = open_source(uri)
    assert isinstance(source, LiveSource)
    assert (source.live, source.name) == (True, name)


@pytest.mark.parametrize("uri", ["clip.mp4", "screen.mp4", "00/clip.mp4", "C:\\clips\\a.mp4", "me@home.mp4"])
def test_anything_else_is_a_file(uri: str) -> None:
    source = open_source(uri)
    assert isinstance(source, FileSource)
    assert (source.live, source.name) == (False, uri)


@pytest.mark.parametrize("uri", ["ftp://u:secret@host/a.mp4", "lavfi://testsrc", "file:///etc/passwd"])
def test_an_unknown_scheme_is_a_usage_error_without_the_password(uri: str) -> None:
    with pytest.raises(UsageError, match="cannot be read: flowtell reads rtsp, rtsps, http, https") as raised:
        open_source(uri)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("uri", ["rtsp:/u:secret@host/live", "http:u:secret@host", "RTSPS:u:secret@host"])
def test_an_address_without_its_two_slashes_is_told_without_the_password(uri: str) -> None:
    with pytest.raises(UsageError, match=r"an address begins with (rtsp|http|rtsps):// and two slashes") as raised:
        open_source(uri)
    assert "secret" not in str(raised.value)


def test_blanks_around_an_address_are_no_part_of_it() -> None:
    assert open_source(" rtsp://u:secret@cam/live\n").name == "rtsp://***@cam/live"


@pytest.mark.parametrize(
    "options",
    [{"rtsp_transport": "pigeon"}, {"hwaccel": "abacus"}, {"size": (0, 480)}, {"fps": 0.0}, {"silence_s": 0.0}],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        SourceOptions(**options)  # type: ignore[arg-type]
