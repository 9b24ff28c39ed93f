"""The report's plots, each as one SVG text that can stand in a page; matplotlib draws them."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from train.metrics import roc

REAL, FAKE, BASE = "#2b7bba", "#c8442e", "#888888"


def svg(draw: Callable[[Axes], None], size: tuple[float, float] = (5.2, 3.6)) -> str:
    """One plot as an SVG element; ``size`` in inches. The same values give the same text."""
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes)
    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "flowtell", "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def roc_plot(rows: Sequence[dict[str, Any]]) -> str:
    """ROC curves at clip level of all fakes and of each group against all reals, from the report's ``scores``."""
    told = [row for row in rows if row["pairs"]]

    def draw(axes: Axes) -> None:
        names = ["all", *sorted({row["group"] for row in told if row["label"] == "fake"})]
        for name in names:
            some = [row for row in told if row["label"] == "real" or name in ("all", row["group"])]
            false, true, _ = roc(
                np.array([row["p_fake"] for row in some]), np.array([row["label"] == "fake" for row in some])
            )
            axes.step(false, true, where="post", label=name, linewidth=2.2 if name == "all" else 1.1)
        axes.plot([0, 1], [0, 1], ":", color=BASE)
        axes.set(xlabel="reals above the threshold", ylabel="fakes found", xlim=(0, 1), ylim=(0, 1.02))
        axes.legend(fontsize=8, frameon=False)

    return svg(draw)


def score_plot(rows: Sequence[dict[str, Any]], thresholds: dict[str, float]) -> str:
    """P(fake) of every clip, one line of points for the reals and one for each method."""
    told = [row for row in rows if row["pairs"]]
    names = ["real", *sorted({row["method"] or "not named" for row in told if row["label"] == "fake"})]

    def draw(axes: Axes) -> None:
        for height, name in enumerate(names):
            some = [
                row["p_fake"]
                for row in told
                if name == ("real" if row["label"] == "real" else row["method"] or "not named")
            ]
            # A small fixed spread keeps equal scores apart.
            spread = height + 0.25 * (((np.arange(len(some)) * 0.618) % 1) - 0.5)
            axes.plot(some, spread, "o", markersize=4, alpha=0.6, color=REAL if name == "real" else FAKE)
        for value in (thresholds["real_enter"], thresholds["fake_enter"]):
            axes.axvline(value, linestyle=":", color=BASE)
        axes.set(xlabel="mean P(fake) of a clip", xlim=(-0.02, 1.02))
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.invert_yaxis()

    return svg(draw, (5.2, 1.2 + 0.28 * len(names)))


def reliability_plot(levels: dict[str, Sequence[Sequence[float]]]) -> str:
    """What was said against what came true, from ``train.metrics.reliability`` at each level."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], ":", color=BASE)
        for name, (said, true, counts) in levels.items():
            full = np.asarray(counts) > 0
            axes.plot(np.asarray(said)[full], np.asarray(true)[full], "o-", label=f"{name}s")
        axes.set(xlabel="P(fake) said", ylabel="share of fakes", xlim=(0, 1), ylim=(0, 1))
        axes.legend(fontsize=8, frameon=False)

    return svg(draw)


def alarm_plot(points: Sequence[dict[str, Any]], own: dict[str, Any]) -> str:
    """Seconds to alarm and fakes found, against false alarms an hour, over thresholds; the contract's own is marked."""

    def draw(axes: Axes) -> None:
        axes.plot([p["per_hour"] for p in points], [p["found"] for p in points], "o-", color=FAKE, markersize=3)
        axes.plot(own["per_hour"], own["found"], "*", color=FAKE, markersize=12)
        axes.set_xscale("symlog", linthresh=1)
        axes.set(xlabel="false alarms an hour of real faces", ylim=(0, 1.05), xlim=(0, None))
        axes.set_ylabel("fakes with an alarm", color=FAKE)
        right = axes.twinx()
        waits = [p["median_s"] if p["median_s"] is not None else math.nan for p in points]
        right.plot([p["per_hour"] for p in points], waits, "s--", color=REAL, markersize=3)
        right.set_ylabel("median seconds to alarm", color=REAL)
        right.set_ylim(bottom=0)

    return svg(draw)


def change_plot(changes: dict[str, dict[str, Any]], plain: dict[str, Any]) -> str:
    """AUC under each change with its interval; the line is the unchanged clips' AUC."""
    names = list(changes)

    def draw(axes: Axes) -> None:
        for height, name in enumerate(names):
            told = changes[name]["auc"]
            axes.plot([told["low"], told["high"]], [height, height], color=REAL)
            axes.plot(told["value"], height, "o", color=REAL)
        axes.axvline(plain["value"], linestyle=":", color=BASE)
        axes.set(xlabel="AUC of clips", xlim=(0, 1.02))
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.invert_yaxis()

    return svg(draw, (5.2, 0.9 + 0.28 * len(names)))
