"""What every source that PyAV reads has in common: opening, decoding, and one clear sentence for each failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import av
import numpy as np
from av.codec.hwaccel import HWAccel

from stream.errors import DeviceError, FlowtellError, SourceBroken, SourceNotFound, SourceRefused
from stream.pictures import ArrayPicture, Picture, VideoPicture

from .base import HwAccel, Sample, Samples

Packets = Iterator["av.Packet[av.VideoStream]"]  # generic in its stubs only
_SLICED = frozenset({"h264", "hevc"})


def accelerator(kind: HwAccel, name: str) -> HWAccel | None:
    """PyAV's hardware decoder, which fails rather than to decode on the CPU. Raises DeviceError where there is none."""
    if kind == "none":
        return None
    try:
        return HWAccel(device_type=kind, allow_software_fallback=False)
    except (ValueError, RuntimeError, av.error.FFmpegError) as error:
        raise _no_accelerator(kind, name) from error


def _no_accelerator(kind: HwAccel, name: str) -> DeviceError:
    return DeviceError(
        f"{name} cannot be decoded by {kind} on this machine: check the driver (nvidia-smi) and the codec, "
        "or leave --hwaccel out"
    )


def video_stream(container: av.container.InputContainer, name: str) -> av.VideoStream:
    """The picture stream of what was opened. Raises SourceBroken where there is none."""
    stream = container.streams.best("video")
    if not isinstance(stream, av.VideoStream):
        raise SourceBroken(f"{name} holds no video stream: give one that does")
    return stream


def picture(frame: av.VideoFrame) -> Picture:
    """A decoded frame as the camera was held: telephones store their pictures turned by quarters."""
    quarters = round(frame.rotation / 90) % 4
    if not quarters:
        return VideoPicture(frame)
    return ArrayPicture(np.ascontiguousarray(np.rot90(VideoPicture(frame).bgr(), quarters)))


def samples(stream: av.VideoStream, packets: Packets, *, live: bool) -> Samples:
    """The pictures of ``packets``; what cannot be decoded is a damaged sample.

    live: begin with a keyframe, and after a damaged picture or packet wait for the next one: what is predicted
    from a damaged picture is smeared, and no verdict may rest on a smear. A recording is taken as it is.
    """
    started, sound, waiting = not live, True, False
    for packet in packets:
        if live and packet.is_corrupt:
            stream.codec_context.flush_buffers()  # what comes next is decoded as if just connected
            started, sound, waiting = False, True, True
        elif packet.is_keyframe:
            started = True
        if not started:
            if waiting and packet.size:
                yield Sample(None)
            continue
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            sound = not live
            yield Sample(None)
            continue
        for frame in frames:
            if live:
                sound = (sound or frame.key_frame) and not frame.is_corrupt
            form = (frame.width, frame.height, stream.codec_context.name, stream.time_base)
            yield Sample(picture(frame) if sound else None, frame.time, form)


def joined(stream: av.VideoStream, packets: Packets) -> Packets:
    """The packets, with those put together that are slices of one keyframe.

    Some servers (GStreamer's payloader with config-interval=-1) send the parameter sets before every slice, and
    FFmpeg then takes each slice for a picture. Joining costs a keyframe the wait for the next packet, so it begins
    only when two keyframes of one time have been seen.
    """
    split, last = False, None
    held: list[av.Packet[av.VideoStream]] = []
    for packet in packets:
        key = packet.is_keyframe and packet.pts is not None and stream.codec_context.name in _SLICED
        split = split or (key and packet.pts == last)
        last = packet.pts
        if held and not (key and packet.pts == held[0].pts):
            yield _one(held)
            held = []
        if split and key:
            held.append(packet)
        else:
            yield packet
    if held:
        yield _one(held)


def _one(slices: list[av.Packet[av.VideoStream]]) -> av.Packet[av.VideoStream]:
    first = slices[0]
    if len(slices) == 1:
        return first
    whole = cast("av.Packet[av.VideoStream]", av.Packet(b"".join(bytes(s) for s in slices)))
    whole.stream, whole.time_base, whole.pts, whole.dts = first.stream, first.time_base, first.pts, first.dts
    whole.is_keyframe, whole.is_corrupt = True, any(s.is_corrupt for s in slices)
    return whole


def explain(error: av.error.FFmpegError | RuntimeError, name: str, hwaccel: HwAccel = "none") -> FlowtellError:
    """FFmpeg's error -> ours, one sentence without the URL (which FFmpeg puts into its own, password included).

    PyAV tells of a hardware decoder that does not fit by RuntimeError.
    """
    for kinds, make in _SENTENCES:
        if isinstance(error, kinds):
            return make(name)
    if hwaccel != "none":  # what is none of the above was said by the decoder: EPERM, ENOSYS, EINVAL, ...
        return _no_accelerator(hwaccel, name)
    if isinstance(error, PermissionError):
        return SourceRefused(f"{name} may not be read: check its permissions")
    return SourceBroken(f"{name} cannot be read ({type(error).__name__}): check the source")


def _sentence(kind: type[FlowtellError], text: str) -> Callable[[str], FlowtellError]:
    return lambda name: kind(f"{name} {text}")


_SENTENCES: tuple[tuple[tuple[type[BaseException], ...], Callable[[str], FlowtellError]], ...] = (
    (
        (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError),
        _sentence(SourceRefused, "refuses the user name or the password: check both"),
    ),
    ((av.error.HTTPNotFoundError,), _sentence(SourceNotFound, "does not exist there: check the path after the host")),
    (
        (av.error.HTTPError,),
        _sentence(SourceRefused, "refuses to serve (HTTP or RTSP error): check its address and its log"),
    ),
    (
        (ConnectionRefusedError,),
        _sentence(SourceRefused, "refuses the connection: check the port, and that the camera is on"),
    ),
    ((FileNotFoundError,), _sentence(SourceNotFound, "does not exist: check the path")),
    (
        (TimeoutError, av.error.ExitError),
        _sentence(SourceNotFound, "does not answer: check the address, and that the camera is on"),
    ),
    (
        (av.error.InvalidDataError,),
        _sentence(SourceBroken, "sends no video that can be read: check that the address is that of a stream"),
    ),
    (
        (av.error.ProtocolNotFoundError, av.error.DemuxerNotFoundError, av.error.DecoderNotFoundError),
        _sentence(SourceBroken, "uses a protocol or a codec that this FFmpeg lacks"),
    ),
)
