"""What the user calls a source -> the Source that reads it."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from stream.errors import UsageError
from stream.redact import redact_url

from .base import Source, SourceOptions
from .files import FileSource, file_samples
from .live import LiveSource
from .network import network_samples
from .pace import paced
from .screen import parse_region, screen_samples
from .webcam import webcam_samples

SCHEMES = ("rtsp", "rtsps", "http", "https")
RECORDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
SEGMENTED = ".m3u8"


def open_source(uri: str, options: SourceOptions | None = None) -> Source:
    """The source that ``uri`` names; nothing is opened before it is entered as a context manager.

    A number or /dev/videoN is a webcam; rtsp://, rtsps://, http:// and https:// are streams; ``screen`` and
    ``screen:WIDTHxHEIGHT+X+Y`` are the desktop or a region of it; anything else is a file. A recording at an
    HTTP address (.mp4, .mkv, ...) plays at its own speed and ends.

    Raises:
        UsageError: the address has a scheme that flowtell does not read, or a region that is none.
    """
    options = options or SourceOptions()
    uri = uri.strip()
    scheme, separator, rest = uri.partition("://")
    if not separator and re.match(rf"({'|'.join(SCHEMES)}):", uri, re.IGNORECASE):
        raise UsageError(f"an address begins with {uri.partition(':')[0].lower()}:// and two slashes")
    if separator:
        if scheme.lower() not in SCHEMES:
            raise UsageError(
                f"{redact_url(uri)} cannot be read: flowtell reads {', '.join(SCHEMES)}, webcams and files"
            )
        return _stream(uri, PurePosixPath(re.split(r"[?#]", rest)[0]).suffix.lower(), options)
    if re.fullmatch(r"\d+|/dev/video\d+", uri):
        return LiveSource(f"webcam {uri}", partial(webcam_samples, uri, options), patient=options.patient)
    if uri == "screen" or uri.startswith("screen:"):
        region = parse_region(uri.partition(":")[2])
        return LiveSource(uri, partial(screen_samples, region, options), patient=options.patient)
    path = Path(uri)
    if options.realtime:
        return LiveSource(uri, lambda closed: paced(file_samples(path, options.hwaccel), closed), ends=True)
    return FileSource(path, options.hwaccel)


def _stream(url: str, suffix: str, options: SourceOptions) -> Source:
    """A network stream; what HTTP serves as a file or in segments comes faster than it is shown, and is paced."""
    name, first_s = redact_url(url), 3 * options.open_timeout_s
    if url.lower().startswith("rtsp") or suffix not in {*RECORDINGS, SEGMENTED}:
        return LiveSource(name, partial(network_samples, url, options), patient=options.patient, first_s=first_s)
    if suffix == SEGMENTED:
        # segments of many seconds come at once, and then nothing until the next is written
        options = replace(options, silence_s=max(options.silence_s, 30.0))
    return LiveSource(
        name,
        lambda closed: paced(network_samples(url, options, closed), closed),
        ends=suffix in RECORDINGS,
        patient=options.patient,
        first_s=first_s,
    )
