"""What is known of damage before a packet is decoded: packets that must not be decoded are marked ``is_corrupt``.

The decoder tells of slices that are missing or cannot be read. It does not tell of whole pictures that are missing
(H.264: what refers to them is then mended with another picture, without a mark), nor of holes within the slices of
H.265. Where these come from is known: the pictures' numbers in H.264, the packets' numbers in RTP over UDP.

What nobody tells: bits that changed within a slice that can still be read (UDP and TCP throw such packets away),
holes within the slices of H.265 that are no lost RTP packets, and, of a damaged picture that the decoder alone
notices, the B-frames that rest on it and are shown before it.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import av

from .video import Packets

_SLICE, _IDR, _SPS, _PPS = 1, 5, 7, 8  # H.264, Table 7-1
_WITH_CHROMA = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})


def numbered(stream: av.VideoStream, packets: Packets) -> Packets:
    """The packets; of an H.264 stream the first is marked that comes after a missing picture others refer to.

    Streams whose NAL units stand behind their lengths (MP4, FLV) pass unchecked: what carries them loses nothing.
    """
    extradata = stream.codec_context.extradata or b""
    if stream.codec_context.name != "h264" or extradata.startswith(b"\1"):
        yield from packets
        return
    numbers = _Numbers()
    numbers.follows(extradata)
    last_pts = None
    for packet in packets:
        again = packet.pts is not None and packet.pts == last_pts  # a picture in several packets
        if not numbers.follows(bytes(packet), again):
            packet.is_corrupt = True
        last_pts = packet.pts
        yield packet


def listen() -> None:
    """Have FFmpeg's warnings given to PyAV, which alone tell of lost RTP packets; to be called before opening.

    They hold URLs with passwords, so they go nowhere else. From then on no decoder with frame threads may be freed
    that was not flushed: PyAV holds the interpreter's lock then, and its threads wait for it to say a last word.
    """
    level = av.logging.get_level()
    if level is None:
        logging.getLogger("libav").setLevel(logging.CRITICAL + 1)
    if level is None or level < av.logging.WARNING:
        av.logging.set_level(av.logging.WARNING)
    av.logging.set_skip_repeated(False)


def received(packets: Packets) -> Packets:
    """The packets of an RTP stream; the one that FFmpeg gives while it tells of lost RTP packets is marked."""
    while True:
        with av.logging.Capture() as logs:
            packet = next(packets, None)
        if packet is None:
            return
        packet.is_corrupt = packet.is_corrupt or told_of_loss(logs)
        yield packet


def suspected(packets: Packets, lost: bool = False) -> Packets:
    """The packets; what comes after a marked one is marked too.

    Demuxers learn where a picture ends from the beginning of the next one, and mark what they give at that moment.
    lost: something was lost while the stream was opened, so all before the second keyframe is marked.
    """
    before, keyframes = False, 0 if lost else 2
    for packet in packets:
        keyframes += packet.is_keyframe
        before, packet.is_corrupt = packet.is_corrupt, packet.is_corrupt or before or keyframes < 2
        yield packet


def told_of_loss(logs: list[tuple[int, str, str]]) -> bool:
    """Whether FFmpeg said that RTP packets are missing."""
    return any(text.startswith("RTP: missed") for _, _, text in logs)


class _Parameters(NamedTuple):
    """What a sequence parameter set says of ``frame_num``."""

    bits: int
    gaps: bool
    """Numbers may be missing: the sender leaves out layers."""
    fields: bool
    """A picture may come as two fields of one number."""
    planes: bool


class _Numbers:
    """Whether pictures follow each other by ``frame_num`` (H.264, 7.4.3): one more than the last one referred to.

    Not read: memory management operation 5, which starts the numbers anew. Nobody is known to send it.
    """

    def __init__(self) -> None:
        self._sequences = dict[int, _Parameters]()
        self._pictures = dict[int, int]()  # picture parameter set -> its sequence parameter set
        self._last: int | None = None

    def follows(self, data: bytes, again: bool = False) -> bool:
        """Take the next access unit in; False where one before it is missing, or nothing can be read of it."""
        for unit in data.split(b"\0\0\1")[1:]:
            kind = unit[0] & 31 if unit else 0
            try:
                if kind == _SPS:
                    identity, parameters = _sequence(_Bits(unit[1:]))
                    self._sequences[identity] = parameters
                elif kind == _PPS:
                    bits = _Bits(unit[1:])
                    self._pictures[bits.golomb()] = bits.golomb()
                elif kind in (_SLICE, _IDR):
                    return self._next(kind, unit, again)  # all slices of a picture hold the same number
            except (ValueError, KeyError):
                return False
        return True

    def _next(self, kind: int, unit: bytes, again: bool) -> bool:
        bits = _Bits(unit[1:40])
        bits.golomb()  # first_mb_in_slice
        bits.golomb()  # slice_type
        parameters = self._sequences[self._pictures[bits.golomb()]]
        bits.take(2 if parameters.planes else 0)
        number = bits.take(parameters.bits)
        last, modulus = self._last, 1 << parameters.bits
        if unit[0] >> 5 & 3:  # others refer to it
            self._last = number
        if kind == _IDR or last is None or parameters.gaps:
            return True
        return number == (last + 1) % modulus or (number == last and (again or parameters.fields))


def _sequence(bits: _Bits) -> tuple[int, _Parameters]:
    """The identity of a sequence parameter set and what it says (H.264, 7.3.2.1.1)."""
    profile, _, identity = bits.take(8), bits.take(16), bits.golomb()
    planes = False
    if profile in _WITH_CHROMA:
        chroma = bits.golomb()
        planes = chroma == 3 and bits.take(1) == 1
        bits.golomb(), bits.golomb(), bits.take(1)  # bit depths, transform bypass
        if bits.take(1):
            for index in range(12 if chroma == 3 else 8):
                if bits.take(1):
                    _scaling_list(bits, 16 if index < 6 else 64)
    length = bits.golomb() + 4
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.take(1), bits.golomb(), bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    bits.golomb()  # max_num_ref_frames
    gaps = bits.take(1) == 1
    bits.golomb(), bits.golomb()  # width, height
    return identity, _Parameters(length, gaps, bits.take(1) == 0, planes)


def _scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.golomb()
            following = (last + ((code + 1) // 2 if code % 2 else -(code // 2))) % 256
        last = following or last


class _Bits:
    """The bits of a NAL unit behind its first byte, one after the other. Raises ValueError behind its end."""

    def __init__(self, unit: bytes) -> None:
        payload = unit.replace(b"\0\0\3", b"\0\0")
        self._value, self._left = int.from_bytes(payload), 8 * len(payload)

    def take(self, count: int) -> int:
        """The next ``count`` bits as an unsigned number."""
        self._left -= count
        if self._left < 0:
            raise ValueError("the NAL unit is too short")
        return self._value >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        """The next unsigned Exp-Golomb code (H.264, 9.1)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)
