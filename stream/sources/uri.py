"""What the user calls a source -> the Source that reads it."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from stream.errors import UsageError
from stream.redact import redact_url

from .base import Source, SourceOptions
from .files import FileSource, paced_file_samples
from .live import LiveSource
from .network import network_samples
from .screen import parse_region, screen_samples
from .webcam import webcam_samples

SCHEMES = ("rtsp", "rtsps", "http", "https")


def open_source(uri: str, options: SourceOptions | None = None) -> Source:
    """The source that ``uri`` names; nothing is opened before it is entered as a context manager.

    A number or /dev/videoN is a webcam; rtsp://, rtsps://, http:// and https:// are streams; ``screen`` and
    ``screen:WIDTHxHEIGHT+X+Y`` are the desktop or a region of it; anything else is a file.

    Raises:
        UsageError: the address has a scheme that flowtell does not read, or a region that is none.
    """
    options = options or SourceOptions()
    scheme, separator, _ = uri.partition("://")
    if separator and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        if scheme.lower() not in SCHEMES:
            raise UsageError(
                f"{redact_url(uri)} cannot be read: flowtell reads {', '.join(SCHEMES)}, webcams and files"
            )
        connect = partial(network_samples, uri, options)
        return LiveSource(redact_url(uri), connect, patient=options.patient, first_s=3 * options.open_timeout_s)
    if re.fullmatch(r"\d+|/dev/video\d+", uri):
        return LiveSource(f"webcam {uri}", partial(webcam_samples, uri, options), patient=options.patient)
    if uri == "screen" or uri.startswith("screen:"):
        region = parse_region(uri.partition(":")[2])
        return LiveSource(uri, partial(screen_samples, region, options), patient=options.patient)
    if options.realtime:
        return LiveSource(uri, partial(paced_file_samples, Path(uri), options.hwaccel), ends=True)
    return FileSource(Path(uri), options.hwaccel)
