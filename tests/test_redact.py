"""Passwords stay out of names, messages, exceptions, status and logs, whatever characters they are made of."""

from __future__ import annotations

import json
import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from urllib.parse import quote

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.config import Defaults, from_arguments
from stream.contract import Contract
from stream.live import Judge, LiveLoop
from stream.looks import Look, Play, Status
from stream.pictures import ArrayPicture
from stream.records import Face, Frame
from stream.redact import redact, redact_url
from stream.sinks.console import Console
from stream.sinks.jsonl import Reporter
from stream.sinks.recording import Recording
from stream.sources import SourceOptions, open_source

MARK = "Zq7k"
AWKWARD = [
    *"@:/?#[]!$&'()*+,;=%<>\\^`{|}~\" \t\n\r-._0",
    "%40",
    "%",
    "://",
    "é",
    "密",
    "\u202e",
    "\x7f",
    "@@",
    "..",
    "&a=",
]
URLS, BATCH = 10_000, 50


class _Nobody:
    name = "nobody"

    def __call__(self, frame: Frame) -> list[Face]:
        return []


JUDGE = Judge(lambda inputs: np.zeros(len(inputs), np.float32), Contract(), _Nobody())


@st.composite
def secret_urls(draw: st.DrawFn) -> str:
    """A URL that holds marked secrets between awkward characters, where cameras' URLs hold them, escaped or raw."""
    pieces = draw(st.lists(st.sampled_from(AWKWARD), max_size=4))
    raw = MARK + "".join(piece + MARK for piece in pieces)
    secret = quote(raw, safe="") if draw(st.booleans()) else raw
    scheme = draw(st.sampled_from(["rtsp", "RTSP", "rtsps", "http", "https"]))
    host = draw(st.sampled_from(["127.0.0.1:1", "[::1]:1"]))
    path = draw(st.sampled_from(["", "/", "/cam", "/a/b@c", "/cam?channel=1&subtype=0"]))
    user = draw(st.sampled_from(["admin:", "", "a%20b:", ":"]))
    if draw(st.booleans()):
        return f"{scheme}://{user}{secret}@{host}{path}"
    name = draw(st.sampled_from(["password", "PWD", "token", "access_token", "api_key", "auth", "signature", "pass"]))
    # an & that is part of a query value must be escaped, or it ends the value for everybody
    value = secret.replace("&", "%26")
    return f"{scheme}://{host}/cam?user=x&{name}={value}&channel=1"


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts = list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


def ways_out(url: str) -> Iterator[tuple[str, str]]:
    """Everything that anybody could see of a camera: (where, text). Whatever shows more of it is to be added here.

    ``flowtell doctor`` is not among them, because it is given no source.
    """
    records, looks = _Records(), list[Look]()
    log = logging.getLogger("stream")
    log.addHandler(records)
    log.setLevel(logging.DEBUG)
    try:
        (camera,) = from_arguments([url], Defaults(SourceOptions(), rate_hz=None))
        yield "camera", repr(camera)
        source = open_source(camera.uri, camera.options)
        yield "name", f"{source.name} {source!r}"
        loop = LiveLoop(camera.name, source, JUDGE, looks.append)
        loop.run()
        yield "status", repr(source.status)
        yield "log", "\n".join(records.texts)
    finally:
        log.removeHandler(records)
        log.setLevel(logging.NOTSET)
    error: BaseException | None = loop.error
    assert error is not None
    yield "message", str(error)
    yield "traceback", "".join(traceback.format_exception(error))
    while error is not None:
        yield "chain", repr(error)
        error = error.__context__ or error.__cause__
    reporter, console = Reporter(), Console(several=True)
    for look in looks:
        yield "overlay", f"{look.status.line()} {look.status.notice()} {look!r}"
        for record in reporter.records(look):
            yield "JSON lines", json.dumps(record)
            yield "console", str(console.line(record))


class _Inline:
    """A thread that runs where it is started: ten thousand real ones would take minutes on a busy machine."""

    def __init__(self, target: Callable[[], None], **_: object) -> None:
        self.start = target

    def join(self, timeout: float) -> None:
        pass


def _refuse(url: str, **_: object) -> None:
    # what PyAV raises: the whole URL stands in it
    raise av.error.ConnectionRefusedError(111, "Connection refused", url)


@settings(max_examples=URLS // BATCH, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.lists(secret_urls(), min_size=BATCH, max_size=BATCH))
def test_no_way_out_shows_a_password(urls: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(av, "open", _refuse)
        patch.setattr(threading, "Thread", _Inline)
        for url in urls:
            assert MARK in url
            for where, text in ways_out(url):
                assert MARK not in text, where


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(secret_urls())
def test_no_way_out_shows_a_password_that_ffmpeg_was_really_given(url: str) -> None:
    for where, text in ways_out(url):
        assert MARK not in text, where


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(secret_urls())
def test_no_recording_holds_a_password(tmp_path_factory: pytest.TempPathFactory, url: str) -> None:
    path = tmp_path_factory.mktemp("recording") / "out.mkv"
    source = open_source(url)
    status = Status(source.name, source.name, Play.PLAYING)
    frame = Frame(0, 0.0, ArrayPicture(np.zeros((48, 64, 3), np.uint8)))
    with Recording(path, Contract().thresholds) as recording:
        recording.write(Look(frame, True, (), status, 0.0))
    assert MARK.encode() not in path.read_bytes()
    with av.open(str(path)) as container:
        assert MARK not in repr((container.metadata, [stream.metadata for stream in container.streams]))


@settings(max_examples=100, deadline=None)
@given(secret_urls(), st.text(max_size=20))
def test_free_text_with_a_known_url_loses_its_password(url: str, around: str) -> None:
    assert MARK not in redact(f"{around}{url}'{around}", url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://cam/live", "rtsp://cam/live"),
        ("rtsp://u:p@cam:554/live?channel=1", "rtsp://***@cam:554/live?channel=1"),
        ("rtsp://u:p@ss/w?r#d@cam/live", "rtsp://***@cam/live"),
        ("rtsp://u:a://b@cam/live", "rtsp://***@cam/live"),
        ("http://cam/v?user=u&pwd=p@ss&channel=2", "http://cam/v?user=***&pwd=***&channel=2"),
        ("http://cam/v?access_token=abc", "http://cam/v?access_token=***"),
        ("clips/me@home.mp4", "clips/me@home.mp4"),
        ("0", "0"),
    ],
)
def test_what_is_left_of_a_url_still_tells_which_camera_it_is(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_free_text_keeps_everything_but_the_secrets() -> None:
    text = "[Errno 111] refused: 'rtsp://u:p@127.0.0.1:1/cam?token=abc' after 3 s"
    assert redact(text) == "[Errno 111] refused: 'rtsp://***@127.0.0.1:1/cam?token=*** after 3 s"
