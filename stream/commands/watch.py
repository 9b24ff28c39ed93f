"""``flowtell watch``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from stream.config import MOST_RATE_HZ, Defaults, from_arguments, read_config
from stream.downloads import face_model_file
from stream.errors import UsageError
from stream.sources import SourceOptions
from stream.watch import WatchOptions
from stream.watch import watch as run

from .options import Device, FaceModel, ModelFile, say


def watch(
    *sources: str,
    config: Path | None = None,
    json: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    record: Path | None = None,
    duration: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    model: ModelFile = None,
    device: Device = "auto",
    window: bool | None = None,
    face_model: FaceModel = None,
    rate: str = "10",
    realtime: bool = False,
    rtsp_transport: Literal["tcp", "udp", "http", "udp_multicast"] = "tcp",
    hwaccel: Literal["none", "cuda"] = "none",
) -> int:
    """Watch sources live and tell, for every face, REAL, FAKE or UNSURE with the reason.

    Parameters
    ----------
    sources
        A webcam's number, an RTSP or HTTP address, "screen" or "screen:WxH+X+Y", or a file; one or several.
    config
        Cameras from a TOML file instead.
    json
        Records as JSON lines, added to this file; "-" is standard output.
    record
        The annotated video as a new .mp4 or .mkv file; several cameras get a number or their name added to it.
    duration
        Stop after so many seconds.
    window
        Show a window; by default where there is a display.
    rate
        Pairs a second of each face that are scored; "all" scores every pair.
    realtime
        Play files at their own speed, as if they were live.
    rtsp_transport
        What carries an RTSP stream.
    hwaccel
        Decode streams and files on the GPU; fails rather than fall back.
    """
    if bool(sources) == (config is not None):
        raise UsageError("give either sources to watch or --config FILE: see flowtell watch --help")
    reading = SourceOptions(
        realtime=realtime, rtsp_transport=rtsp_transport, hwaccel=hwaccel, patient=config is not None
    )
    defaults = Defaults(reading, pairs_per_second(rate), record)
    cameras = from_arguments(sources, defaults) if config is None else read_config(config, defaults)
    return run(cameras, WatchOptions(json, duration, window, model, device, face_model_file(face_model)), say)


def pairs_per_second(rate: str) -> float | None:
    """``--rate`` as a number, None for "all". Raises UsageError."""
    if rate == "all":
        return None
    try:
        rate_hz = float(rate)
    except ValueError:
        rate_hz = 0.0
    if not 0 < rate_hz <= MOST_RATE_HZ:
        raise UsageError(f"--rate must be a number of pairs a second above 0, or 'all', not {rate!r}")
    return rate_hz
