"""The report as one page of HTML that needs nothing beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from .plots import alarm_plot, change_plot, reliability_plot, roc_plot, score_plot

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .15rem .7rem; border-bottom: 1px solid #eee; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; }
.note { color: #555; } .plots { display: flex; flex-wrap: wrap; gap: 1rem; } svg { max-width: 100%; height: auto; }
"""


def page(value: dict[str, Any]) -> str:
    """The report's value (``train.report.build.write_report``) as a page."""
    body = "\n".join(
        [
            _head(value),
            _overall(value),
            _groups(value),
            _thresholds(value),
            _alarms(value),
            *(
                _changes(value)
                if "robustness" in value
                else ["<p class=note>Changes and probes: left out (quick).</p>"]
            ),
            _clips(value),
        ]
    )
    title = f"flowtell: {value['model']} on {value['manifest']}"
    return (
        f"<!doctype html>\n<html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
        f"<style>{_STYLE}</style>\n<body>\n{body}\n</body></html>\n"
    )


def _head(value: dict[str, Any]) -> str:
    clips, contract = value["clips"], value["contract"]
    rate = f"{value['rate_hz']:g} a second" if value["rate_hz"] else "every one"
    missing = "".join(f"<li>{escape(name)}: {escape(reason)}</li>" for name, reason in clips["not_scored"].items())
    return (
        f"<h1>{escape(value['model'])} on {escape(value['manifest'])}</h1>"
        f"<p>{clips['real']} real and {clips['fake']} fake clips of {clips['people']} people; "
        f"input {contract['input']}, {contract['size']} px; faces by "
        f"{escape(value['faces'])}; pairs of each face: {rate}. Intervals are 95 %, "
        f"from {value['sampling']['rounds']} draws of people. Made in {value['took_s']:.0f} s.</p>"
        + (f"<p>Not scored, and counted as UNSURE:</p><ul>{missing}</ul>" if missing else "")
    )


def _overall(value: dict[str, Any]) -> str:
    overall = value["overall"]
    names = {"auc": "AUC", "eer": "equal error rate", "ap": "average precision"}
    rows = [
        [name, *(_estimate(overall[level][key]) for level in ("clip", "pair", "metadata"))]
        for key, name in names.items()
    ]
    rows.append(["calibration error", _number(overall["clip"]["ece"]), _number(overall["pair"]["ece"]), "-"])
    text = "<h2>Overall</h2>" + _table(["", "clips", "pairs of frames", "metadata alone, clips"], rows)
    text += _notes(value["meaning"]["overall"])
    if told := value["paired"]:
        text += "<h3>Clips whose original is there too</h3>" + _table(
            ["", "clips", "pairs of frames", "metadata alone", "fake above its own original"],
            [
                [
                    f"AUC of {told['couples']} couples",
                    *(_estimate(told[k]) for k in ("clip", "pair", "metadata", "wins")),
                ]
            ],
        )
    plots = [roc_plot(value["scores"]), reliability_plot(overall["reliability"])]
    return text + _plots([*plots, score_plot(value["scores"], value["contract"]["thresholds"])])


def _groups(value: dict[str, Any]) -> str:
    head = ["", "fakes", "AUC, clips", "AUC, pairs of frames", "metadata alone", "called FAKE"]

    def rows(told: dict[str, Any]) -> list[list[str]]:
        return [
            [
                escape(name),
                str(f["fakes"]),
                *(_estimate(f[k]) for k in ("clip", "pair", "metadata")),
                _percent(f["found"]),
            ]
            for name, f in told.items()
        ]

    return (
        "<h2>By generator, against all reals</h2>"
        + _table(head, rows(value["groups"]))
        + _table(head, rows(value["methods"]))
    )


def _thresholds(value: dict[str, Any]) -> str:
    rows = [
        [_percent(r["false_positives"]), _number(r["threshold"]), _estimate(r["found"])] for r in value["thresholds"]
    ]
    calls = [[label, *(str(count) for count in told.values())] for label, told in value["calls"].items()]
    own = value["contract"]["thresholds"]
    return (
        "<h2>Thresholds</h2>"
        + _table(["reals above it, at most", "P(fake) from", "fakes found"], rows)
        + f"<p>At the contract's own thresholds (FAKE from {own['fake_enter']:.3g}, REAL to {own['real_enter']:.3g}), "
        "whole clips are called:</p>" + _table(["", *value["calls"]["real"]], calls)
    )


def _alarms(value: dict[str, Any]) -> str:
    alarms = value["alarms"]
    rows = [
        [
            f"{p['threshold']:.3g}" + (" (contract)" if p is alarms["contract"] else ""),
            _number(p["per_hour"], 1),
            _number(p["per_hour_at_most"], 1),
            _percent(p["found"]),
            _number(p["median_s"], 1),
        ]
        for p in [*alarms["curve"], alarms["contract"]]
    ]
    head = ["FAKE from", "false alarms an hour", "at most (95 %)", "fakes with an alarm", "median seconds to alarm"]
    return (
        "<h2>Alarms of the live verdict</h2>"
        f"<p>The live window ({alarms['window_s']:g} s) run over the clips: {alarms['real_face_hours'] * 60:.1f} "
        f"minutes of real faces, {alarms['reals_with_alarm']} real clips with an alarm at the contract's threshold.</p>"
        + _notes(value["meaning"]["alarms"])
        + _plots([alarm_plot(alarms["curve"], alarms["contract"])])
        + _table(head, rows)
    )


def _changes(value: dict[str, Any]) -> list[str]:
    plain, said = value["overall"]["clip"]["auc"], value["meaning"]
    titles = {
        "robustness": "Robustness: all clips changed",
        "benign": "Harmless changes: reals changed, fakes as they were",
        "shortcuts": "Shortcuts",
    }
    head = [
        "",
        "AUC",
        "change of AUC",
        "reals called FAKE",
        "rise",
        "fakes called FAKE",
        "rise of P(fake), reals",
        "lost",
    ]
    texts = []
    for key, title in titles.items():
        rows = [
            [
                escape(name),
                _estimate(c["auc"]),
                _estimate(c["auc_change"]),
                _percent(c["false_positives"]),
                f"{100 * c['false_positives_change']:+.1f} points",
                _percent(c["found"]),
                f"{c['shift']:+.3f}",
                str(c["lost"]),
            ]
            for name, c in value[key].items()
        ]
        plots = _plots([change_plot(value[key], plain)]) if key != "shortcuts" else ""
        texts.append(f"<h2>{title}</h2>" + _notes(said[key]) + _table(head, rows) + plots)
    return texts


def _clips(value: dict[str, Any]) -> str:
    rows = [
        [
            escape(row["clip"]),
            row["label"],
            escape(row["method"]) or "-",
            *(_number(row[k]) for k in ("p_fake", "peak")),
            str(row["pairs"]),
            _number(row["face_px"], 0),
            _number(row["first_alarm_s"], 1),
        ]
        for row in sorted(value["scores"], key=lambda r: (r["label"], -r["p_fake"] if r["pairs"] else 1))
    ]
    head = ["clip", "label", "method", "mean P(fake)", "peak", "pairs", "face px", "alarm after s"]
    return "<h2>Clips</h2><details><summary>every clip</summary>" + _table(head, rows) + "</details>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _notes(sentences: Iterable[str]) -> str:
    return "".join(f"<p class=note>{escape(sentence)}</p>" for sentence in sentences)


def _plots(plots: Iterable[str]) -> str:
    return "<div class=plots>" + "".join(f"<div>{plot}</div>" for plot in plots) + "</div>"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f} %"


def _estimate(told: dict[str, float]) -> str:
    if math.isnan(told["value"]):
        return "-"
    interval = "" if math.isnan(told["low"]) else f" [{told['low']:.3f}, {told['high']:.3f}]"
    return f"{told['value']:.3f}{interval}"
