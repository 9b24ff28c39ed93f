"""Where the time goes, as a small SVG: one bar for each way of watching, its stages side by side."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

from stream.errors import OutputError

# Paul Tol's "bright" scheme, which colour-blind people can tell apart.
_COLOURS = {
    "decode": "#bbbbbb",
    "faces": "#4477aa",
    "pair": "#66ccee",
    "fuse": "#228833",
    "model": "#ee6677",
    "repeats": "#aa3377",
    "verdict": "#ccbb44",
    "rest": "#555555",
}
_LEFT, _WIDTH, _BAR, _STEP, _TOP = 210, 560, 26, 40, 44


def svg(bars: Mapping[str, Mapping[str, float]]) -> str:
    """Bars of milliseconds by stage as an SVG document, all on one scale."""
    longest = max((sum(parts.values()) for parts in bars.values()), default=0.0) or 1.0
    height = _TOP + _STEP * len(bars) + 8
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 90} {height}" '
        'font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for k, (stage, colour) in enumerate(_COLOURS.items()):
        x = 12 + k * 104
        out.append(
            f'<rect x="{x}" y="12" width="13" height="13" fill="{colour}"/><text x="{x + 18}" y="23">{stage}</text>'
        )
    for row, (name, parts) in enumerate(bars.items()):
        y, start = _TOP + row * _STEP, float(_LEFT)
        out.append(f'<text x="{_LEFT - 8}" y="{y + 18}" text-anchor="end">{escape(name)}</text>')
        for stage, colour in _COLOURS.items():
            wide = parts.get(stage, 0.0) / longest * _WIDTH
            out.append(f'<rect x="{start:.1f}" y="{y}" width="{wide:.1f}" height="{_BAR}" fill="{colour}"/>')
            start += wide
        out.append(f'<text x="{start + 8:.1f}" y="{y + 18}">{sum(parts.values()):.1f} ms</text>')
    return "\n".join([*out, "</svg>", ""])


def draw(bars: Mapping[str, Mapping[str, float]], out: Path) -> None:
    """Write the picture. Raises OutputError where that fails."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(svg(bars))
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({error.strerror}): choose another place") from error
