"""The face bank: faces with their surroundings at native resolution, from which pseudo-fakes are made.

One bank is a folder: ``pixels.u8`` (all regions one after the other, raw BGR bytes, memory-mapped by the
readers) and ``index.json`` (one record per moment: offset, side, frames, landmarks, who and what it is).
A *moment* is ``FRAMES`` frames of one face about 0.04 s apart (a still's is one), cut with one and the same box of
``MARGIN`` around the canonical face box, and scaled down only where the region is larger than ``MAX_SIDE``.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.errors import DataError, FlowtellError
from stream.faces import YunetFaces
from stream.pairing import cut
from stream.pictures import ArrayPicture
from stream.records import Box, Face, Frame, Image
from stream.sources import read_file

from .store import write_atomically

T = TypeVar("T")

INDEX, PIXELS, DECODERS = "index.json", "pixels.u8", "decoders.pt"  # in a bank's folder; for the last see decoders.py
FRAMES = 4  # for pairs one, two and three frames apart
MARGIN = 0.55
MAX_SIDE = 320
MIN_FACE_PX = 40.0


@dataclass(frozen=True, slots=True)
class Source:
    """One clip or photograph to gather faces from; ``label`` is real or fake."""

    path: str
    label: str
    identity: str
    method: str = ""
    pair: str = ""
    still: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """Where one moment lies in the bank: ``frames`` regions of (side, side, 3) from ``offset`` on.

    ``landmarks`` are (5, 2) per frame in pixels of the region; ``face_px`` the face's side in the region.
    """

    source: Source
    offset: int
    side: int
    frames: int
    gap_s: float
    face_px: float
    landmarks: tuple[tuple[tuple[float, float], ...], ...]


class Bank:
    """A bank on disk, read through a memory map; cheap to send to worker processes."""

    def __init__(self, folder: Path) -> None:
        try:
            rows = json.loads((folder / INDEX).read_text())
        except (OSError, json.JSONDecodeError) as error:
            raise DataError(f"{folder} holds no face bank: make one with 'flowtell train synthesize'") from error
        self.folder = folder
        self.moments = [Moment(**{**row, "source": Source(**row["source"])}) for row in rows]
        self._pixels: NDArray[np.uint8] | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_pixels": None}

    def regions(self, moment: Moment) -> NDArray[np.uint8]:
        """(frames, side, side, 3) BGR, read-only."""
        if self._pixels is None:
            self._pixels = np.memmap(self.folder / PIXELS, np.uint8, "r")
        size = moment.frames * moment.side * moment.side * 3
        part = self._pixels[moment.offset : moment.offset + size]
        return part.reshape(moment.frames, moment.side, moment.side, 3)


def gather(
    sources: Sequence[Source],
    folder: Path,
    face_model: Path,
    moments: int = 24,
    workers: int = 2,
    progress: Callable[[], None] = lambda: None,
) -> list[str]:
    """Make a bank of at most ``moments`` per clip (one per still); returns a line for each source left out.

    Raises:
        DataError: a process died. OutputError: the bank cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)  # an index of other pixels would be worse than none
    (folder / DECODERS).unlink(missing_ok=True)  # and decoders may have learned from people who are held out now
    bad, index, offset = [], [], 0
    # Spawned, not forked: OpenCV's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with (folder / PIXELS).open("wb") as out, ProcessPoolExecutor(workers, context) as pool:
        originals = [next((real for real in sources if is_original(real, s)), None) for s in sources]
        tasks = [(s, real, face_model, moments) for s, real in zip(sources, originals, strict=True)]
        told = pool.map(_moments, tasks, chunksize=4)
        for source, found in zip(sources, _alive(told), strict=True):
            progress()
            if isinstance(found, str) or not found:
                bad.append(f"{source.path}: {found or 'no face found'}")
                continue
            for regions, gap_s, face_px, landmarks in found:
                index.append(
                    Moment(source, offset, regions.shape[1], regions.shape[0], gap_s, face_px, _points(landmarks))
                )
                out.write(regions.tobytes())
                offset += regions.size
    write_atomically(folder / INDEX, lambda file: file.write(json.dumps([asdict(m) for m in index]).encode()))
    return bad


def held_out(moment: Moment, one_in: int = 6, of: Callable[[Iterable[bool]], bool] = any) -> bool:
    """Whether a moment's person is kept from training: one of ``one_in``, by a hash of the name, in every run.

    of: ``any`` or ``all`` of the people it shows; nobody is in both parts where training leaves out the former and
    validation takes the latter.
    """
    names = moment.source.identity.split("|")
    return of(int(hashlib.sha1(name.encode()).hexdigest(), 16) % one_in == 0 for name in names)


def is_original(real: Source, fake: Source) -> bool:
    """Whether ``real`` is the clip of which ``fake`` was made: the same video, and the same person in it."""
    one_video = real.label == "real" and fake.label == "fake" and real.pair == fake.pair != ""
    return one_video and real.identity in fake.identity.split("|")


def _alive(told: Iterator[T]) -> Iterator[T]:
    try:
        yield from told
    except BrokenProcessPool as error:
        raise DataError(
            "a process that gathered faces died: free some memory, or leave the clip out that crashes its decoder "
            "('flowtell train prepare' names it)"
        ) from error


_Found = tuple[NDArray[np.uint8], float, float, NDArray[np.float32]]


def _moments(task: tuple[Source, Source | None, Path, int]) -> list[_Found] | str:
    source, partner, face_model, count = task
    cv2.setNumThreads(1)
    detector = YunetFaces(face_model)
    try:
        if source.still:
            picture = cv2.imread(source.path)
            if picture is None:
                return "not a picture"
            face = _largest(detector.find(ArrayPicture(np.asarray(picture, np.uint8))))
            return [] if face is None else [_cut([Frame(0, 0.0, ArrayPicture(np.asarray(picture, np.uint8)))], [face])]
        # Where the original's faces are, so that a fake and its original are cut to the same pixel; one clip after the
        # other, for two decoded ones may be more than fits.
        frames = list(read_file(Path((partner or source).path)))
        shape, places = _shape(frames), list(_places(frames, detector, count))
        if partner is not None:
            frames = []
            frames = list(read_file(Path(source.path)))
            if _shape(frames) != shape:
                places = list(_places(frames, detector, count))
        return [_cut([frames[i] for i in at], faces) for at, faces in places]
    except FlowtellError as error:
        return str(error)


def _shape(frames: list[Frame]) -> tuple[int, int, int]:
    return len(frames), frames[0].picture.width, frames[0].picture.height


def _places(frames: list[Frame], detector: YunetFaces, count: int) -> Iterator[tuple[range, list[Face]]]:
    """The frames of each moment, and the face in them."""
    step = max(1, round(0.03 / max(1e-3, (frames[-1].pts_s - frames[0].pts_s) / max(1, len(frames) - 1))))
    starts = np.unique(np.linspace(0, max(0, len(frames) - 1 - (FRAMES - 1) * step), count).round().astype(int))
    for start in starts.tolist():
        at = range(len(frames))[start : start + (FRAMES - 1) * step + 1 : step]
        faces = [_largest(detector.find(frames[i].picture)) for i in at]
        known = [f for f in faces if f is not None]
        whole = len(at) == len(known) == FRAMES and known[0].box.w >= MIN_FACE_PX
        if whole and min(known[0].box.overlap(f.box) for f in known) > 0.5:
            yield at, known


def _largest(faces: list[Face]) -> Face | None:
    return max(faces, key=lambda f: f.box.w, default=None)


def _cut(frames: list[Frame], faces: list[Face]) -> _Found:
    centers = np.array([f.box.center for f in faces])
    face_px = float(np.mean([f.box.w for f in faces]))
    cx, cy = centers.mean(axis=0)
    native = max(2, round(face_px * (1 + 2 * MARGIN)))
    side = min(native, MAX_SIDE)
    regions = np.stack([_region(f, Box.square(cx, cy, face_px), side) for f in frames])
    corner = np.array([round(cx - native / 2), round(cy - native / 2)])
    marks = [f.landmarks for f in faces if f.landmarks is not None]
    landmarks = (np.stack(marks) - corner) * (side / native)
    gap_s = (frames[-1].pts_s - frames[0].pts_s) / max(1, len(frames) - 1)
    return regions, gap_s, face_px * side / native, landmarks.astype(np.float32)


def _region(frame: Frame, box: Box, side: int) -> Image:
    return cut(frame.picture, box, MARGIN, side)


def _points(landmarks: NDArray[np.float32]) -> tuple[tuple[tuple[float, float], ...], ...]:
    return tuple(tuple((round(float(x), 2), round(float(y), 2)) for x, y in frame) for frame in landmarks)
