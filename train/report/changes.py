"""What happens to pictures on their way to the detector: codecs, cameras, filters, and the probes of the audit.

A change of frames takes the frames of a clip and a face detector and gives changed frames; the very same scoring then
runs on them. Everything random is seeded, so that a change of one clip is the same on every run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain, islice, pairwise
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from stream.errors import OutputError
from stream.faces import FaceDetector
from stream.pictures import ArrayPicture
from stream.records import Box, Frame, Image
from stream.sources import read_file
from stream.tracking import Tracker

ChangeFrames = Callable[[Iterable[Frame], FaceDetector], Iterator[Frame]]
"""Frames of a clip, and what finds faces in them -> the frames as the detector gets to see them."""

Mask = NDArray[np.float32]
"""(H, W, 1), 1 where a change applies, 0 where the picture stays."""

_LIGHT_SEED = 7
# The macroblock tree reads memory that nobody wrote, so that now and then a clip comes out otherwise on the next run.
_X264 = {"preset": "veryfast", "x264-params": "mbtree=0"}


def _each(change: Callable[[Image, int], Image]) -> ChangeFrames:
    """A change of each picture by itself; it also gets the frame's index, for noise that differs between frames."""

    def changed(frames: Iterable[Frame], _: FaceDetector) -> Iterator[Frame]:
        for frame in frames:
            yield _with(frame, change(frame.picture.bgr(), frame.index))

    return changed


def _with(frame: Frame, bgr: Image) -> Frame:
    return replace(frame, picture=ArrayPicture(bgr))


def _with_faces(change: Callable[[Image, list[Box]], Image]) -> ChangeFrames:
    """A change that needs to know where the faces are; boxes are smoothed over time as the detector's own are."""

    def changed(frames: Iterable[Frame], faces: FaceDetector) -> Iterator[Frame]:
        tracker = Tracker(min_hits=1)
        for frame in frames:
            boxes = [t.box for t in tracker.update(frame, faces(frame))]
            yield _with(frame, change(frame.picture.bgr(), boxes))

    return changed


# --- codecs and cameras ---------------------------------------------------------------------------------------------


def h264(crf: int) -> ChangeFrames:
    """Encoded anew with x264 at a constant rate factor, then decoded: what a call or a platform does to a clip."""

    def changed(frames: Iterable[Frame], _: FaceDetector) -> Iterator[Frame]:
        with tempfile.TemporaryDirectory(prefix="flowtell-") as folder:
            file = Path(folder) / "clip.mkv"
            if times := encode(frames, file, crf):
                for frame, pts_s in zip(read_file(file), times, strict=True):
                    yield Frame(frame.index, pts_s, frame.picture)

    return changed


def encode(frames: Iterable[Frame], file: Path, crf: int) -> list[float]:
    """Write frames as H.264 (preset veryfast, 4:2:0); gives the time of each, in seconds. No frames, no file.

    Raises:
        OutputError: this PyAV has no x264, or the disk is full.
    """
    coming = iter(frames)
    first = list(islice(coming, 50))  # enough to tell the rate by; a long clip's pictures would fill the memory
    if not first:
        return []
    width, height = (side - side % 2 for side in (first[0].picture.width, first[0].picture.height))
    gaps = [b.pts_s - a.pts_s for a, b in pairwise(first)]
    rate = Fraction(round(1 / float(np.median(gaps))) if gaps else 25)
    times = list[float]()
    try:
        with av.open(str(file), "w") as container:
            stream = container.add_stream("libx264", rate=rate, options={"crf": str(crf), **_X264})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.thread_count = 1  # the same bytes on every machine, and no threads below --workers
            for frame in chain(first, coming):
                times.append(frame.pts_s)
                bgr = np.ascontiguousarray(frame.picture.bgr()[:height, :width])
                # Converted on one thread too: slices converted side by side are not always the same bytes.
                yuv = av.VideoFrame.from_ndarray(bgr, format="bgr24").reformat(format="yuv420p", threads=1)
                container.mux(stream.encode(yuv))
            container.mux(stream.encode())
    except (av.error.FFmpegError, av.codec.codec.UnknownCodecError) as error:
        raise OutputError(
            f"clips cannot be encoded as H.264 here ({type(error).__name__}): judge with --quick"
        ) from error
    return times


def half_size(frames: Iterable[Frame], _: FaceDetector) -> Iterator[Frame]:
    """Half as wide and half as high."""
    for frame in frames:
        size = (max(2, frame.picture.width // 2), max(2, frame.picture.height // 2))
        yield _with(frame, _bytes(cv2.resize(frame.picture.bgr(), size, interpolation=cv2.INTER_AREA)))


def at_rate(rate_hz: float) -> ChangeFrames:
    """Frames left out until no more than ``rate_hz`` a second remain."""

    def changed(frames: Iterable[Frame], _: FaceDetector) -> Iterator[Frame]:
        due_s: float | None = None
        for frame in frames:
            # A tenth of a gap of slack: times in files are rounded.
            if due_s is None or frame.pts_s >= due_s - 0.1 / rate_hz:
                due_s = (frame.pts_s if due_s is None else due_s) + 1 / rate_hz
                yield frame

    return changed


def _bytes(values: object) -> Image:
    return np.asarray(np.clip(np.rint(np.asarray(values)), 0, 255), np.uint8)


def _blur(bgr: Image, _: int) -> Image:
    # Relative to the picture, so that a small clip is not blurred more than a large one.
    return _bytes(cv2.GaussianBlur(bgr, (0, 0), max(bgr.shape[:2]) / 400))


def _noise(bgr: Image, index: int, sigma: float = 8.0) -> Image:
    noise = np.random.default_rng([_LIGHT_SEED, index]).normal(0, sigma, bgr.shape)
    return _bytes(bgr + noise)


# --- harmless changes of a real face --------------------------------------------------------------------------------


def _low_light(bgr: Image, index: int) -> Image:
    """Two and a half stops darker, with the sensor noise that goes with it."""
    return _noise(_bytes(255 * (bgr / 255.0) ** 1.3 * 0.35), index, 5.0)


def _warm_light(bgr: Image, _: int) -> Image:
    """A light bulb's colour: less blue, more red."""
    return _bytes(bgr * np.array([0.72, 0.95, 1.12]))


def _mirror(bgr: Image, _: int) -> Image:
    return np.ascontiguousarray(bgr[:, ::-1])


def ellipse(shape: tuple[int, ...], boxes: Iterable[Box], wide: float, high: float, feather: float = 0.06) -> Mask:
    """Ellipses around canonical face boxes, semi-axes ``wide`` and ``high`` as shares of the box's side.

    ``feather`` is the sigma of the soft border, as a share of the box's side.
    """
    mask = np.zeros(shape[:2], np.float32)
    largest = 0.0
    for box in boxes:
        (cx, cy), largest = box.center, max(largest, box.w)
        axes = (max(1, round(box.w * wide)), max(1, round(box.w * high)))
        cv2.ellipse(mask, (round(cx), round(cy)), axes, 0, 0, 360, (1.0,), -1)
    if largest * feather >= 0.3:
        mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), largest * feather), np.float32)
    return mask[..., None]


def mix(inside: Image, outside: Image, mask: Mask) -> Image:
    """``inside`` where the mask is 1, ``outside`` where it is 0."""
    return _bytes(inside * mask + outside * (1 - mask))


def _beauty(bgr: Image, boxes: list[Box]) -> Image:
    """Skin smoothing: a bilateral filter inside the face, as beauty filters of video calls do."""
    side = max((b.w for b in boxes), default=0)
    if not side:
        return bgr
    across = max(5, round(side / 20)) | 1
    smooth = cv2.bilateralFilter(bgr, across, 45, across)
    return mix(_bytes(0.85 * smooth + 0.15 * bgr.astype(np.float32)), bgr, ellipse(bgr.shape, boxes, 0.42, 0.52))


def _person(bgr: Image, boxes: list[Box]) -> Mask:
    """Head and shoulders as a video call would cut them out: an ellipse for the head and one for the body."""
    head = ellipse(bgr.shape, boxes, 0.62, 0.78, 0.04)
    body = [Box.square(b.center[0], b.center[1] + 2.4 * b.w, b.w) for b in boxes]
    return np.maximum(head, ellipse(bgr.shape, body, 1.5, 1.7, 0.04))


def _blurred_background(bgr: Image, boxes: list[Box]) -> Image:
    return mix(bgr, _bytes(cv2.GaussianBlur(bgr, (0, 0), max(bgr.shape[:2]) / 40)), _person(bgr, boxes))


def _replaced_background(bgr: Image, boxes: list[Box]) -> Image:
    """A still picture of soft colours behind the person."""
    rough = np.random.default_rng(_LIGHT_SEED).integers(30, 225, (5, 7, 3)).astype(np.uint8)
    behind = _bytes(cv2.resize(rough, (bgr.shape[1], bgr.shape[0]), interpolation=cv2.INTER_CUBIC))
    return mix(bgr, behind, _person(bgr, boxes))


# --- probes for shortcuts -------------------------------------------------------------------------------------------


def _resampled_face(bgr: Image, boxes: list[Box]) -> Image:
    """The real face handled as a swap handles it, but not swapped: reduced to 128 px, JPEG, back, feathered paste."""
    height, width = bgr.shape[:2]
    out = bgr
    for box in boxes:
        x0, y0 = max(0, round(box.x)), max(0, round(box.y))
        x1, y1 = min(width, round(box.x + box.w)), min(height, round(box.y + box.h))
        if x1 - x0 < 2 or y1 - y0 < 2:
            continue
        small = cv2.resize(bgr[y0:y1, x0:x1], (128, 128), interpolation=cv2.INTER_AREA)
        packed = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
        unpacked = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
        back = cv2.resize(unpacked, (x1 - x0, y1 - y0), interpolation=cv2.INTER_CUBIC)
        pasted = out.copy()
        pasted[y0:y1, x0:x1] = back
        out = mix(pasted, out, ellipse(bgr.shape, [box], 0.36, 0.46))
    return out


def hide_face(crop: Image, margin: float) -> Image:
    """A crop of a pair, (S, S, 3), with the face covered by gray: what is left is background, hair and clothes."""
    size = crop.shape[0]
    box = Box.square(size / 2, size / 2, size / (1 + 2 * margin))
    covered = ellipse(crop.shape, [box], 0.48, 0.56, 0.0) > 0
    return np.asarray(np.where(covered, np.uint8(127), crop), np.uint8)


ROBUSTNESS: dict[str, ChangeFrames] = {
    "H.264 crf 23": h264(23),
    "H.264 crf 32": h264(32),
    "H.264 crf 40": h264(40),
    "half size": half_size,
    "blur": _each(_blur),
    "noise": _each(_noise),
    "10 frames a second": at_rate(10.0),
}
BENIGN: dict[str, ChangeFrames] = {
    "beauty filter": _with_faces(_beauty),
    "blurred background": _with_faces(_blurred_background),
    "replaced background": _with_faces(_replaced_background),
    "low light": _each(_low_light),
    "warm light": _each(_warm_light),
    "mirror": _each(_mirror),
}
RESAMPLED_FACE = _with_faces(_resampled_face)
