"""URI or camera index -> Iterator[Frame]."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av

from .errors import SourceBroken, SourceNotFound
from .pictures import VideoPicture
from .records import Frame


def read_file(path: Path) -> Iterator[Frame]:
    """Every frame of a recorded video, nothing dropped; times start at the file's own first pts.

    Raises:
        SourceNotFound: no such file. SourceBroken: not a video.
    """
    if not path.is_file():
        raise SourceNotFound(f"no file {path}: check the path")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise SourceBroken(f"{path} holds no video stream")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            last_s = -1e-3
            for index, frame in enumerate(container.decode(stream)):
                last_s = max(last_s + 1e-3, float(frame.time) if frame.time is not None else last_s + 0.04)
                yield Frame(index, last_s, VideoPicture(frame))
    except av.error.FFmpegError as error:
        raise SourceBroken(f"{path} is not a video that can be read") from error
