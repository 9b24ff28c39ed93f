"""Floats for hypothesis that hold whichever test ran before."""

from __future__ import annotations

from functools import partial

from hypothesis import strategies as st

# ONNX Runtime's first session makes its thread treat subnormal numbers as zero (stream.model asks for it, for
# speed), and hypothesis refuses to draw them then. No time, angle or logit here is one.
floats = partial(st.floats, allow_subnormal=False)
