"""The desktop, or a region of it, as a live source: x11grab, gdigrab or avfoundation through PyAV."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import av

from stream.errors import SourceBroken, SourceNotFound, SourceRefused, UsageError
from stream.pictures import ArrayPicture

from .base import Sample, Samples, SourceOptions
from .video import Packets, samples, video_stream


class Region(NamedTuple):
    """A part of the desktop in pixels; ``x, y`` is its upper left corner."""

    w: int
    h: int
    x: int
    y: int


class Grab(NamedTuple):
    """What PyAV is to open: FFmpeg's input device, its name and options, and what to crop afterwards."""

    format: str
    file: str
    options: dict[str, str]
    crop: Region | None = None


def parse_region(text: str) -> Region | None:
    """``WxH+X+Y`` -> Region, nothing -> None (all of it). Raises UsageError for anything else."""
    if not text:
        return None
    match = re.fullmatch(r"(\d+)x(\d+)\+(\d+)\+(\d+)", text)
    region = Region(*map(int, match.groups())) if match else None
    if region is None or min(region.w, region.h) < 16:
        raise UsageError(f"screen:{text} is no region: write screen:WIDTHxHEIGHT+X+Y, at least 16 pixels each way")
    return region


def how_to_grab(region: Region | None, fps: float, platform: str, environment: Mapping[str, str]) -> Grab:
    """What to open on this system. Raises SourceNotFound without a display, SourceRefused on Wayland."""
    options = {"framerate": f"{fps:g}"}
    if platform == "win32":
        if region:
            options |= {"video_size": f"{region.w}x{region.h}", "offset_x": str(region.x), "offset_y": str(region.y)}
        return Grab("gdigrab", "desktop", options | {"draw_mouse": "0"})
    if platform == "darwin":  # grabs whole screens only
        return Grab("avfoundation", "Capture screen 0:none", options | {"capture_cursor": "0"}, region)
    if environment.get("WAYLAND_DISPLAY"):
        # through XWayland the screen would be grabbed as black, which must not pass for a picture
        raise SourceRefused("Wayland does not let programs read the screen: log in to an Xorg session")
    display = environment.get("DISPLAY")
    if not display:
        raise SourceNotFound("there is no screen to watch: DISPLAY is not set; start this on the desktop itself")
    if region:
        options["video_size"] = f"{region.w}x{region.h}"
        display += f"+{region.x},{region.y}"
    # with draw_mouse=0, x11grab never notices that the display is gone and gives its last picture for ever
    return Grab("x11grab", display, options | {"draw_mouse": "1"})


def screen_samples(region: Region | None, options: SourceOptions, closed: threading.Event) -> Samples:
    """The desktop's pictures. Raises SourceNotFound or SourceRefused where it cannot be grabbed."""
    _check_libraries()
    grab = how_to_grab(region, options.fps or 25.0, sys.platform, os.environ)
    what = f"screen region {region.w}x{region.h}+{region.x}+{region.y}" if region else "the screen"
    came = False
    try:
        with av.open(grab.file, format=grab.format, options=grab.options) as container:
            stream = video_stream(container, what)
            for sample in samples(stream, _until(container.demux(stream), closed), live=True):
                came = True
                yield _cropped(sample, grab.crop)
    except av.error.FFmpegError as error:
        if came:
            raise SourceBroken(f"{what} gives no more pictures: is the display still there?") from error
        raise SourceNotFound(f"{what} cannot be grabbed: check DISPLAY, and that the region lies inside") from error


def _check_libraries() -> None:
    """Refuse where grabbing would crash the process: OpenCV's and PyAV's wheels share X libraries by file name.

    Whichever is imported first gives its own to both, and PyAV's x11grab crashes with OpenCV's.
    """
    maps = Path("/proc/self/maps")
    if maps.exists() and re.search(r"opencv[\w-]*\.libs/libxcb-shm", maps.read_text(errors="replace")):
        raise SourceRefused("the screen cannot be grabbed once cv2 was imported before av: import stream first")


def _cropped(sample: Sample, region: Region | None) -> Sample:
    if region is None or sample.picture is None:
        return sample
    return sample._replace(picture=ArrayPicture(sample.picture.crop(region.x, region.y, region.w, region.h)))


def _until(packets: Packets, closed: threading.Event) -> Packets:
    for packet in packets:
        if closed.is_set():
            return
        yield packet
