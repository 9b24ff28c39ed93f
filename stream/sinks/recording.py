"""The annotated video as a file, with the stream's own times, finished whatever ends it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Self

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream

from stream import overlay
from stream.contract import Thresholds
from stream.errors import OutputError
from stream.looks import Look
from stream.records import Image

SUFFIXES = (".mp4", ".mkv")
_CLOCK = 90_000  # ticks a second, MPEG's own
# Fragments, each playable without an index at the end: a full disk or a power cut costs the last second only.
_WHOLE_AT_ANY_TIME = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
_X264 = {"preset": "veryfast", "crf": "23", "bf": "0", "g": "50"}


class Recording:
    """Writes every fresh frame with its overlay. A stream that changes its size goes on in a file ``-2``, ``-3``...

    path: the first file; it must not exist, so that no recording is ever lost to another.
    thresholds: the model's, for the lines in the curve.

    Raises:
        OutputError: the file exists, cannot be opened, or the disk is full.
    """

    def __init__(self, path: Path, thresholds: Thresholds) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise OutputError(f"cannot record to {path}: its name must end in {' or '.join(SUFFIXES)}")
        if path.exists():
            raise OutputError(f"{path} exists already: remove it or choose another name")
        if not path.parent.is_dir():
            raise OutputError(f"cannot record to {path}: there is no folder {path.parent}")
        self.name = f"the recording {path}"
        self.files: list[Path] = []
        self._path = path
        self._thresholds = thresholds
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._size = (0, 0)
        self._start_s = 0.0
        self._last = -1

    def write(self, item: Look) -> None:
        """Encode the look's frame, if it is a new one."""
        if item.frame is None or not item.fresh:
            return
        picture = item.frame.picture.bgr()
        drawn = overlay.draw(picture, item.verdicts, item.status.line(), self._thresholds)
        self.add(drawn, item.frame.pts_s)

    def add(self, picture: Image, pts_s: float) -> None:
        """Encode one (H, W, 3) BGR picture shown at ``pts_s``; an odd last row or column is left out."""
        height, width = (n & ~1 for n in picture.shape[:2])
        try:
            if (width, height) != self._size:
                self._finish()
                self._begin(width, height, pts_s)
            stream = self._stream
            if stream is None or self._container is None:
                return
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="bgr24")
            self._last = max(self._last + 1, round((pts_s - self._start_s) * _CLOCK))
            frame.pts, frame.time_base = self._last, Fraction(1, _CLOCK)
            self._container.mux(stream.encode(frame))
        except (av.error.FFmpegError, OSError) as error:
            raise self._broken(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self._finish()
        except (av.error.FFmpegError, OSError) as error:
            if not any(exc):  # else something else went wrong first, and that is told
                raise self._broken(error) from error

    def _broken(self, error: Exception) -> OutputError:
        why = getattr(error, "strerror", None) or "it could not be encoded"
        kept = f"; what was written before is kept in {self.files[-1]}" if self.files else ""
        return OutputError(f"{self.name} had to end: {why}{kept}")

    def _begin(self, width: int, height: int, pts_s: float) -> None:
        path, part = self._path, 1
        while path.exists():
            part += 1
            path = self._path.with_stem(f"{self._path.stem}-{part}")
        options = _WHOLE_AT_ANY_TIME if path.suffix.lower() == ".mp4" else {}
        self._container = av.open(str(path), "w", options=options)
        self.files.append(path)
        self._container.metadata["comment"] = "annotated by flowtell"
        stream = self._container.add_stream("libx264", rate=30, options=_X264)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.thread_type = "FRAME"  # one slice a picture: not every player shows several
        stream.time_base = stream.codec_context.time_base = Fraction(1, _CLOCK)
        self._stream, self._size, self._start_s, self._last = stream, (width, height), pts_s, -1

    def _finish(self) -> None:
        container, stream = self._container, self._stream
        self._container = self._stream = None
        self._size = (0, 0)
        if container is None:
            return
        try:
            if stream is not None:
                container.mux(stream.encode(None))
        finally:
            container.close()
