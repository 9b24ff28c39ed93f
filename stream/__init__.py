"""flowtell: watch live video and say, for every face in it, whether it looks real or fake.

import stream

with stream.open_source("0") as source:  # a webcam, an RTSP address, the screen, a file
    for frame, verdicts in stream.judge(source, stream.Model()):
        for verdict in verdicts:
            print(f"{frame.pts_s:.2f} s  face {verdict.track}  {verdict.state}  {verdict.p_fake}")
"""

from __future__ import annotations

# Before cv2, whose wheel brings X libraries of the same names: PyAV's screen grabber crashes with those.
import av  # noqa: F401

from .check import FileVerdict, TrackVerdict, check_file
from .contract import Contract, Thresholds
from .errors import FlowtellError
from .faces import find_faces
from .model import Model
from .pipeline import detect, judge, pairs
from .records import Box, Face, Frame, Pair, Reason, State, Track, Verdict
from .sources import Source, SourceOptions, open_source

__all__ = [
    "Box",
    "Contract",
    "Face",
    "FileVerdict",
    "FlowtellError",
    "Frame",
    "Model",
    "Pair",
    "Reason",
    "Source",
    "SourceOptions",
    "State",
    "Thresholds",
    "Track",
    "TrackVerdict",
    "Verdict",
    "check_file",
    "detect",
    "find_faces",
    "judge",
    "open_source",
    "pairs",
]
