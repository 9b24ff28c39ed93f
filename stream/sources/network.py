"""RTSP(S) and HTTP(S) streams through PyAV, with little delay and never waiting for ever."""

from __future__ import annotations

import errno
import re
import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import quote, urlsplit

import av

from stream.errors import SourceBroken, SourceError, SourceNotFound
from stream.redact import redact_url

from .base import Sample, Samples, SourceOptions
from .damage import listen, numbered, received, suspected, told_of_loss
from .timeline import Lag
from .video import Packets, accelerator, explain, joined, samples, video_stream

MAX_LAG_S = 5.0
"""A stream that runs this far behind is cut and connected anew: what is shown would be history."""
SKIP_LAG_S = 1.0
"""From this far behind only keyframes are decoded, until the stream has caught up."""
NO_PICTURE_S = 15.0
"""Data without any whole picture for this long is a loss too."""

# Demuxers that invent time stamps from a guessed frame rate: the arrival says more.
_WITHOUT_CLOCK = frozenset({"mpjpeg", "mjpeg", "h264", "hevc", "m4v"})


def network_samples(
    url: str, options: SourceOptions, closed: threading.Event, now: Callable[[], float] = time.monotonic
) -> Samples:
    """Connect to a stream and give its samples until it ends.

    Raises:
        SourceError: it cannot be opened, fell silent, or runs too far behind. DeviceError: no such decoder.
    """
    name = redact_url(url)
    hwaccel = accelerator(options.hwaccel, name)
    came = False
    over_udp = url.lower().startswith("rtsp") and options.rtsp_transport.startswith("udp")
    if over_udp:
        listen()
    try:
        with av.logging.Capture() as logs:
            container = av.open(
                connectable(url),
                options=_ffmpeg_options(url, options),
                # PyAV gives up after twice the time for reads: the first try ends, and so does FFmpeg's second one
                timeout=(options.open_timeout_s, options.silence_s / 2),
                hwaccel=hwaccel,
            )
        with container:
            stream = video_stream(container, name)
            # Frame threads hold back a picture for each thread; with slice threads FFmpeg neither mends nor marks
            # a picture of which slices are missing, and its green or smeared rest would be judged.
            stream.thread_type = "NONE"
            timeless = container.format.name in _WITHOUT_CLOCK
            health = _Health(stream, name, now)
            packets = container.demux(stream)
            if over_udp:
                packets = received(packets)
            packets = numbered(stream, suspected(packets, lost=told_of_loss(logs)))
            for sample in samples(stream, joined(stream, health.packets(packets)), live=True):
                if closed.is_set():
                    return
                came = True
                timed = sample._replace(pts_s=None) if timeless else sample
                health.check(timed)
                yield timed
        return
    except (av.error.ExitError, av.error.TimeoutError) as error:
        failure = SourceBroken(f"{name} fell silent") if came else explain(error, name)
    except (av.error.FFmpegError, RuntimeError) as error:
        failure = _eio(url, name, came) if _is_eio(error) else explain(error, name, options.hwaccel)
    # raised outside of the except blocks, so that FFmpeg's exception, which holds the password, is not chained to it
    raise failure


def _is_eio(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EIO


def _eio(url: str, name: str, came: bool) -> SourceError:
    """What FFmpeg's bare "Input/output error" means: a host without address, a stream cut off, or no stream."""
    if came:
        return SourceBroken(f"{name} broke off")
    try:
        socket.getaddrinfo(urlsplit(connectable(url)).hostname, None)
    except (OSError, ValueError):
        return SourceNotFound(f"{name} cannot be found: check the host's name and the network")
    return SourceBroken(f"{name} sends no video that can be read: check that the address is that of a stream")


class _Health:
    """Whether a stream is worth going on with: whole pictures come, and not from long ago."""

    def __init__(self, stream: av.VideoStream, name: str, now: Callable[[], float]) -> None:
        self._stream, self._name, self._now = stream, name, now
        self._lag, self._whole_s = Lag(), now()

    def packets(self, packets: Packets) -> Packets:
        """The packets, as long as whole pictures come of them now and then."""
        for packet in packets:
            yield packet
            if self._now() - self._whole_s > NO_PICTURE_S:
                raise SourceBroken(
                    f"{self._name} sent data but no whole picture for {NO_PICTURE_S:g} s: "
                    "check the network and its encoder"
                )

    def check(self, sample: Sample) -> None:
        """Skip to keyframes when the stream lags. Raises SourceBroken when it lags too far."""
        now_s = self._now()
        if sample.picture is not None:
            self._whole_s = now_s
        if sample.pts_s is None:
            return
        lag_s = self._lag.update(sample.pts_s, now_s)
        if lag_s > MAX_LAG_S:
            raise SourceBroken(
                f"{self._name} runs {lag_s:.0f} s behind: the network or this machine is too slow for it"
            )
        if lag_s > SKIP_LAG_S:
            self._stream.codec_context.skip_frame = "NONKEY"
        elif lag_s < SKIP_LAG_S / 4:
            self._stream.codec_context.skip_frame = "DEFAULT"


def _ffmpeg_options(url: str, options: SourceOptions) -> dict[str, str]:
    # Not fflags=nobuffer: it throws away what was read while probing, the first keyframe with it, and so costs a GOP.
    common = {"flags": "low_delay", "timeout": str(round(options.open_timeout_s * 1e6))}
    if url.lower().startswith("rtsp"):
        return common | {
            "rtsp_transport": options.rtsp_transport,
            "allowed_media_types": "video",
            "probesize": "32",
            "analyzeduration": "0",
        }
    return common | {"analyzeduration": "500000"}


def connectable(url: str) -> str:
    """The URL with what is not allowed in a user name or password percent-encoded, as FFmpeg takes them.

    Passwords with raw / ? # @ are pasted every day. What stands before the last @ is the user where the plain
    reading (the host ends at the first / ? #) finds no @, but what it takes for the port is no number.
    """
    scheme, separator, rest = url.partition("://")
    plain = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in plain:
        who, _, where = plain.rpartition("@")
        where += rest[len(plain) :]
    elif "@" in rest and re.search(r":(?!\d*$)", plain):
        who, _, where = rest.rpartition("@")
    else:
        return url
    return f"{scheme}{separator}{quote(who, safe=':%!$&()*+,;=~')}@{where}"
