"""Recorded files: every frame, as fast as the consumer takes them; or at their own speed, as a live source."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import av

from stream.errors import SourceBroken, SourceNotFound
from stream.records import Frame

from .base import HwAccel, Phase, Samples, Status
from .timeline import Timeline
from .video import accelerator, explain, samples, video_stream


def read_file(path: Path, hwaccel: HwAccel = "none") -> Generator[Frame, None, None]:
    """Every frame of a recorded video, nothing dropped; times start at the file's own first pts.

    Damaged packets are passed over. ``Frame.arrived_s`` stays 0: a recording has no arrival.

    Raises:
        SourceNotFound: no such file. SourceBroken: not a video. DeviceError: no such hardware decoder.
    """
    timeline, index = Timeline(), 0
    for sample in file_samples(path, hwaccel):
        if sample.picture is not None:
            pts_s = timeline.place(sample.pts_s, sample.form)
            yield Frame(index, pts_s, sample.picture, epoch=timeline.epoch)
            index += 1
    if not index:
        raise SourceBroken(f"{path} holds no picture that can be decoded: is it a whole video?")


def file_samples(path: Path, hwaccel: HwAccel = "none", paced: bool = False) -> Samples:
    """The samples of a recorded video. Raises as ``read_file``."""
    if not path.is_file():
        raise SourceNotFound(f"no file {path}: check the path")
    wanted = accelerator(hwaccel, str(path))
    try:
        with av.open(str(path), hwaccel=wanted) as container:
            stream = video_stream(container, str(path))
            # what plays at its own speed shares the cores with other cameras: no thread for each core and frame
            stream.thread_type = "SLICE" if paced else "AUTO"
            try:
                yield from samples(stream, container.demux(stream), live=False)
            finally:
                stream.codec_context.flush_buffers()  # see ``damage.listen``
    except av.error.InvalidDataError as error:
        raise SourceBroken(f"{path} is not a video that can be read: give one, or check that it is whole") from error
    except (av.error.FFmpegError, RuntimeError) as error:
        raise explain(error, str(path), hwaccel) from error


class FileSource:
    """A recorded file as a ``Source`` that drops nothing: ``next_frame`` decodes the next one."""

    live = False

    def __init__(self, path: Path, hwaccel: HwAccel = "none") -> None:
        self.name = str(path)
        self._frames = read_file(path, hwaccel)
        self._first: Frame | None = None
        self._status = Status(Phase.CONNECTING)
        self._over = False  # set from any thread; the status is the consumer's own

    @property
    def status(self) -> Status:
        """Where the source stands now."""
        return replace(self._status, phase=Phase.ENDED) if self._over else self._status

    def __enter__(self) -> Self:
        self._first = next(self._frames)
        self._status = Status(Phase.RUNNING, connections=1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._frames.close()

    def close(self) -> None:
        """End it: ``next_frame`` gives nothing more."""
        self._over = True

    def next_frame(self, timeout_s: float) -> Frame | None:
        """The next frame, however long decoding takes; None at the end of the file."""
        if self._over:
            return None
        frame, self._first = self._first or next(self._frames, None), None
        if frame is None:
            self.close()
        else:
            self._status = replace(self._status, frames=self._status.frames + 1)
        return frame

    def __iter__(self) -> Iterator[Frame]:
        while frame := self.next_frame(0.0):
            yield frame
