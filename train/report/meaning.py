"""What figures mean, in a sentence each: the report says it so that no reader has to guess."""

from __future__ import annotations

import math
from typing import Any

from .scoring import BACKGROUND, RESAMPLED


def meanings(value: dict[str, Any]) -> dict[str, list[str]]:
    """Sentences for each section of the report: overall, alarms, robustness, benign, shortcuts."""
    said = {"overall": [_metadata(value)], "alarms": [_hours(value["alarms"])]}
    if "robustness" in value:
        said["robustness"] = [_robustness(value)]
        said["benign"] = [_benign(value)]
        said["shortcuts"] = [_metadata(value), _background(value), _resampled(value)]
    return said


def _metadata(value: dict[str, Any]) -> str:
    alone, auc = value["overall"]["metadata"]["auc"]["value"], value["overall"]["clip"]["auc"]
    if math.isnan(alone):
        return "Metadata alone: too few people to say what size, frame rate, sharpness and bit rate tell."
    told = f"A classifier that sees only size, frame rate, sharpness and bit rate reaches AUC {alone:.3f}; "
    if auc["low"] > alone:
        return told + f"the model's interval lies above it ({auc['low']:.3f} and up), so the pictures tell it more."
    return told + (
        f"the model's interval ({auc['low']:.3f} to {auc['high']:.3f}) does not lie above it, so these clips do not "
        "show that the model knows more than such outward signs."
    )


def _hours(alarms: dict[str, Any]) -> str:
    hours = alarms["real_face_hours"]
    if not hours:
        return "No real face was followed, so nothing can be said of false alarms."
    return (
        f"With {60 * hours:.1f} minutes of real faces, a single false alarm counts as {1 / hours:.1f} an hour, "
        f"and none at all still allows {3.0 / hours:.0f} an hour."
    )


def _robustness(value: dict[str, Any]) -> str:
    worst = min(value["robustness"], key=lambda name: _or(value["robustness"][name]["auc_change"]["value"], 0.0))
    cost = -_or(value["robustness"][worst]["auc_change"]["value"], 0.0)
    return f"The change that costs most is '{worst}': {cost:.3f} of AUC."


def _benign(value: dict[str, Any]) -> str:
    over = [
        f"{name} ({100 * told['false_positives_change']:+.1f})"
        for name, told in value["benign"].items()
        if told["false_positives_change"] > 0.02
    ]
    if not over:
        return "No harmless change costs more than 2 points of false positives."
    return f"More than 2 points of false positives are cost by: {', '.join(over)}."


def _background(value: dict[str, Any]) -> str:
    full = value["overall"]["clip"]["auc"]["value"] - 0.5
    covered = value["shortcuts"][BACKGROUND]
    left = covered["auc"]
    told = f"With the face covered and only its surroundings left, the AUC is {left['value']:.3f}: "
    if full <= 0.05:
        return told + "the model itself is too near chance for this to say where its knowledge comes from."
    if covered["false_positives_change"] > 0.5:
        return told + "but the cover itself is taken for forgery, real or fake, so this says little."
    if left["low"] <= 0.5 <= left["high"]:
        return told + "not to be told from chance, so what the model knows comes from the face."
    share = (left["value"] - 0.5) / full
    if share < 0:
        return told + "below chance, so the surroundings speak against the labels, and the face has to outweigh them."
    return told + (
        f"{100 * min(share, 1):.0f} % of the model's lead over chance can be had without any face, so that much may be "
        "background, and not forgery."
    )


def _resampled(value: dict[str, Any]) -> str:
    told = value["shortcuts"][RESAMPLED]
    rise = 100 * told["false_positives_change"]
    text = (
        "Real faces that were reduced to 128 px, compressed and pasted back, as a live swap does but with nobody "
        f"swapped, are called FAKE {rise:+.1f} points more often (P(fake) {told['shift']:+.3f}): "
    )
    if told["false_positives_change"] > 0.1 or told["shift"] > 0.1:
        return (
            text + "the model takes the traces of resampling for forgery, so filters that resample faces will alarm it."
        )
    change = told["auc_change"]
    if change["high"] < 0:
        return text + f"no alarm, but {-change['value']:.3f} of AUC: resampling is a part of what the model goes by."
    return text + "resampling alone is not what the model goes by."


def _or(value: float, instead: float) -> float:
    return instead if math.isnan(value) else value
