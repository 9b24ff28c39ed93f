"""Options that several commands share, and how they talk to the user."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from stream.redact import redact

Device = Annotated[
    Literal["auto", "cpu", "cuda"], Parameter(help="Where the network runs; cuda fails rather than fall back.")
]
ModelFile = Annotated[
    Path | None, Parameter(name="--model", help="A model made by flowtell export; the bundled one by default.")
]
FaceModel = Annotated[
    str | None,
    Parameter(name="--face-model", help="YuNet's ONNX file, or 'yunet' once it is pulled; Haar by default."),
]
Rate = Annotated[str, Parameter(help="Pairs a second of each face that are scored, a number; 'all' scores every pair.")]


def say(sentence: str) -> None:
    """Tell the user one sentence on standard error, without any password that was typed where it does not belong."""
    print(f"flowtell: {redact(sentence)}", file=sys.stderr, flush=True)
