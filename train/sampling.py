"""The notebook's sampling of a video, at a small part of its cost: only the frames it takes are decoded and searched.

The notebook read every frame and searched both frames of a pair at full size. Here a video's packets are listed
first, without decoding; whole groups of pictures that hold no wanted frame are passed over, and of the others the
frames that no other frame refers to. One small picture of each pair is searched for the face.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from stream.contract import Contract
from stream.errors import SourceBroken, SourceNotFound, UsageError
from stream.faces import FaceDetector
from stream.follow import Finder
from stream.pairing import cut
from stream.pictures import VideoPicture
from stream.records import Box, Face, Frame, Pair

LONG_FRAMES = 200
"""Videos of more frames than this are skipped through by larger steps."""


@dataclass(frozen=True, slots=True)
class Notebook:
    """Pairs of successive frames, ``count`` of them, every ``long_step`` frames of a video of more than 200 frames
    and every ``short_step`` of any other; fewer where the video ends before.

    The published notebook took 10 pairs at steps of 16 and 8 to train and validate, and 30 pairs at steps of 4 and 2
    to test. ``apart``: frames from the first to the second of a pair. Both are cut with one box, that of the face
    found in the first: the largest in the first picture that shows one, and then the one that overlaps it most.
    """

    count: int = 10
    long_step: int = 16
    short_step: int = 8
    apart: int = 1

    def __post_init__(self) -> None:
        if min(self.count, self.long_step, self.short_step, self.apart) < 1:
            raise UsageError("a notebook sampling needs a count, steps and a distance of at least 1")

    @property
    def name(self) -> str:
        return f"notebook {self.count} every {self.long_step}/{self.short_step} apart {self.apart}"

    def __call__(self, path: Path, contract: Contract, faces: FaceDetector) -> list[Pair]:
        """The pairs of one video in order of time.

        Raises:
            SourceNotFound: no such file. SourceBroken: not a video.
        """
        starts = self.starts(count_frames(path))
        wanted = sorted({i for start in starts for i in (start, start + self.apart)})
        pairs, face, earlier = list[Pair](), None, dict[int, tuple[Frame, Face]]()
        for frame in frames_at(path, wanted):
            # A frame can be the second of one pair and the first of the next.
            if (before := earlier.pop(frame.index - self.apart, None)) is not None:
                pairs.append(_pair(*before, frame, contract))
            if frame.index in starts:
                face = _find(frame, faces, face)
                if face is not None:
                    earlier[frame.index] = frame, face
        return pairs

    def starts(self, frames: int) -> tuple[int, ...]:
        """The first frames of the pairs of a video of so many frames."""
        step = self.long_step if frames > LONG_FRAMES else self.short_step
        return tuple(range(0, max(0, frames - self.apart), step))[: self.count]


TO_LEARN = Notebook()
TO_TEST = Notebook(30, 4, 2)


def _find(frame: Frame, faces: FaceDetector, before: Face | None) -> Face | None:
    """The face that was seen before, looked for where it was; else anywhere in the picture."""
    if before is not None and isinstance(faces, Finder):
        near = faces.near(frame.picture, before.box)
        if near is not None:
            return near
    found = faces(frame)
    if before is None:
        return max(found, key=lambda face: face.box.w, default=None)
    box = before.box
    return max(found, key=lambda face: (face.box.overlap(box), face.box.w), default=None)


def _pair(first: Frame, face: Face, second: Frame, contract: Contract) -> Pair:
    box = Box(*face.box)
    crops = [cut(frame.picture, box, contract.margin, contract.size) for frame in (first, second)]
    return Pair(1, second.pts_s, second.pts_s - first.pts_s, crops[0], crops[1], box, box.w)


@dataclass(frozen=True, slots=True)
class _Packets:
    """Times of a video's packets in order of decoding; which of them start anew."""

    pts: tuple[int, ...]
    keys: frozenset[int]


def count_frames(path: Path) -> int:
    """How many frames a video holds, by its packets: nothing is decoded. Raises as ``frames_at``."""
    return len(_packets(path).pts)


def frames_at(path: Path, indices: Sequence[int]) -> Iterator[Frame]:
    """The frames of these numbers (0 is the first shown), in order of time; those that cannot be decoded are missing.

    Raises:
        SourceNotFound: no such file. SourceBroken: not a video, or one whose packets carry no times.
    """
    packets = _packets(path)
    shown = sorted(packets.pts)
    wanted = {shown[i]: i for i in indices if 0 <= i < len(shown)}
    if not wanted:
        return
    skip = _unneeded(packets, sorted(wanted))
    last = max(wanted)
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            # One thread: a decoder's choice of what to skip holds from the very next packet on.
            stream.codec_context.thread_count = 1
            number = 0
            for packet in container.demux(stream):
                if packet.pts is not None:
                    number += 1
                    if number - 1 in skip:
                        continue
                    stream.codec_context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
                for frame in stream.codec_context.decode(packet):
                    if frame.pts in wanted and frame.time is not None:
                        yield Frame(wanted[frame.pts], float(frame.time), VideoPicture(frame))
                    if frame.pts is not None and frame.pts >= last:
                        return
    except av.error.FFmpegError as error:
        raise SourceBroken(f"{path} is not a video that can be read: give one, or check that it is whole") from error


def _unneeded(packets: _Packets, wanted: Sequence[int]) -> set[int]:
    """The packets that no wanted picture needs: those from one key picture to the next without any."""
    starts = sorted(packets.keys | {0})
    groups = list(zip(starts, [*starts[1:], len(packets.pts)], strict=True))
    times = set(wanted)
    needed: set[int] = set()
    for i, (start, end) in enumerate(groups):
        if inside := times.intersection(packets.pts[start:end]):
            needed.add(i)
            # Pictures shown before their own key picture also refer to the group before it.
            if i and min(inside) < packets.pts[start]:
                needed.add(i - 1)
    return {n for i, (start, end) in enumerate(groups) if i not in needed for n in range(start, end)}


def _packets(path: Path) -> _Packets:
    if not path.is_file():
        raise SourceNotFound(f"no file {path}: check the path")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise SourceBroken(f"{path} holds no video")
            seen = [(p.pts, p.is_keyframe) for p in container.demux(container.streams.video[0]) if p.pts is not None]
    except av.error.FFmpegError as error:
        raise SourceBroken(f"{path} is not a video that can be read: give one, or check that it is whole") from error
    if not seen or len({pts for pts, _ in seen}) < len(seen):
        raise SourceBroken(f"{path} gives its pictures no times: convert it to MP4 first")
    return _Packets(tuple(pts for pts, _ in seen), frozenset(i for i, (_, key) in enumerate(seen) if key))
