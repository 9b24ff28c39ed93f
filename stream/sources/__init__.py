"""Where frames come from: a webcam, a stream, the screen or a file, all behind one ``open_source``.

with open_source("rtsp://camera/live", SourceOptions()) as source:
    while (frame := source.next_frame(1.0)) or source.status.phase is not Phase.ENDED:
        ...                                  # None: nothing new within a second, what is shown is stale
"""

from __future__ import annotations

import logging

from .base import Phase, Source, SourceOptions, Status
from .files import FileSource, read_file
from .live import LiveSource
from .uri import open_source

__all__ = ["FileSource", "LiveSource", "Phase", "Source", "SourceOptions", "Status", "open_source", "read_file"]

# Losses and reconnects are logged for who asks; without this, Python would print them on stderr.
logging.getLogger("stream").addHandler(logging.NullHandler())
