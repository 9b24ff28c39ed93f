"""Webcams through OpenCV: MJPG at the wanted size and the highest rate; plugged out, they are tried again."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from stream.errors import SourceBroken, SourceError, SourceNotFound, SourceRefused
from stream.pictures import ArrayPicture

from .base import Sample, Samples, SourceOptions

_BACKENDS = {"linux": cv2.CAP_V4L2, "win32": cv2.CAP_DSHOW, "darwin": cv2.CAP_AVFOUNDATION}
_ANY_RATE = 240.0
_READ_TRIES = 3


class Capture(Protocol):
    """The part of ``cv2.VideoCapture`` that is used."""

    def isOpened(self) -> bool: ...  # noqa: N802
    def set(self, key: int, value: float, /) -> bool: ...
    def read(self) -> tuple[bool, Any]: ...
    def release(self) -> None: ...


def open_capture(device: str) -> Capture:
    """OpenCV's capture of a webcam index or device path, without its warnings on stderr."""
    # V4L2 waits this long for a picture, 10 s by itself: a webcam that hangs must be noticed sooner
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3")
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.VideoCapture(int(device) if device.isdigit() else device, _BACKENDS.get(sys.platform, cv2.CAP_ANY))
    finally:
        cv2.utils.logging.setLogLevel(before)


def webcam_samples(
    device: str,
    options: SourceOptions,
    closed: threading.Event,
    open_device: Callable[[str], Capture] = open_capture,
    devices: Path = Path("/dev"),
) -> Samples:
    """The pictures of a webcam, by index or device path, until it is gone. They carry no time: arrival counts.

    Raises:
        SourceNotFound: no such webcam. SourceRefused: it is busy, or may not be read. SourceBroken: unplugged.
    """
    capture = open_device(device)
    try:
        if not capture.isOpened():
            raise _why_not(device, devices)
        _ask(capture, options)
        failed = 0
        while not closed.is_set():
            came, bgr = capture.read()
            if came and bgr is not None:
                failed = 0
                picture = np.ascontiguousarray(bgr, np.uint8)
                yield Sample(ArrayPicture(picture), None, picture.shape)
                continue
            failed += 1
            if failed >= _READ_TRIES:
                raise SourceBroken(f"webcam {device} gives no more pictures: is it still plugged in?")
            yield Sample(None)
    finally:
        capture.release()


def _ask(capture: Capture, options: SourceOptions) -> None:
    # The order matters to V4L2: format, then size, then the rate that goes with both. The driver takes the nearest.
    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, options.size[0])
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, options.size[1])
    capture.set(cv2.CAP_PROP_FPS, options.fps or _ANY_RATE)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)


def _why_not(device: str, devices: Path) -> SourceError:
    """What keeps a webcam from opening, as far as the system tells (Linux shows devices as files)."""
    if not sys.platform.startswith("linux"):
        return SourceNotFound(
            f"webcam {device} cannot be opened: check that it is plugged in, that no other program uses it, "
            "and that this program may use the camera"
        )
    path = devices / f"video{device}" if device.isdigit() else devices / Path(device).name
    if not path.exists():
        found = ", ".join(sorted(p.name.removeprefix("video") for p in devices.glob("video*"))) or "none"
        return SourceNotFound(f"no webcam {device} (this machine has: {found}): plug one in, or give a file or a URL")
    if not os.access(path, os.R_OK | os.W_OK):
        return SourceRefused(f"webcam {device} may not be read: add yourself to the group 'video' and log in again")
    return SourceRefused(f"webcam {device} does not open: close the program that uses it, or try another index")
