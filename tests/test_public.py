"""The public surface of ``import stream``: exactly what __all__ says, usable in five lines, documented."""

from __future__ import annotations

import inspect
import types
from pathlib import Path

import stream


def test_all_is_sorted_and_holds_every_public_name() -> None:
    public = [n for n, v in vars(stream).items() if not n.startswith("_") and not isinstance(v, types.ModuleType)]
    assert sorted(set(public) - {"annotations"}) == list(stream.__all__) == sorted(stream.__all__)


def test_every_public_name_is_documented() -> None:
    assert [name for name in stream.__all__ if not inspect.getdoc(getattr(stream, name))] == []


def test_a_stream_is_watched_in_five_lines(face_clip: Path, model_file: Path) -> None:
    states = []
    with stream.open_source(str(face_clip)) as source:
        for frame, verdicts in stream.judge(source, stream.Model(model_file)):
            states += [(frame.index, verdict.state) for verdict in verdicts]
    assert states[0][1] is stream.State.UNSURE
    assert states[-1] == (74, stream.State.REAL)
