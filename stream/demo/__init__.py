"""The bundled clip: NASA's public-domain portrait of astronaut Eileen Collins, set in motion by ``make_clip.py``."""

from __future__ import annotations

from pathlib import Path

CLIP = Path(__file__).parent / "clip.mp4"
TAMPERED_FROM_S = 7.0
"""Until then the real picture moves; from then on another version of the face is pasted over it."""
