"""How well a model tells fake from real on clips: figures with 95 % intervals, as one value that JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.contract import Contract
from stream.errors import DataError
from stream.scoring import Scorer

from . import runs
from .manifest import Clip, check_both, read_manifest
from .metrics import (
    ClipScores,
    Flags,
    Metric,
    Scores,
    accuracy,
    auc,
    average_precision,
    bootstrap,
    couples,
    eer,
    groups,
    in_order,
    soft_accuracy,
)
from .scoring import Looking, score_clips, score_stored
from .store import is_store, open_store, refuse_other

METRICS: dict[str, Metric] = {"auc": auc, "eer": eer, "ap": average_precision, "accuracy": accuracy}
Figures = dict[str, Any]


def gather(
    scorer: Scorer,
    source: Path,
    looking: Looking | None = None,
    on_clip: Callable[[Clip, int], None] = lambda clip, total: None,
    only: str = "",
) -> list[ClipScores]:
    """The scores of every clip of a manifest, of folders real/ and fake/, or of a pair store.

    ``on_clip`` is called after each with how many there are; ``only`` takes clips whose name starts with it.

    Raises:
        DataError: the manifest or store cannot be used, or holds one class alone.
    """
    if is_store(source):
        store = open_store(source)
        refuse_other(store.contract, scorer.contract, str(source))
        stored = [s for s in store.clips if s.clip.name.startswith(only)]
        check_both([s.clip for s in stored], str(source))
        return score_stored(stored, scorer, lambda clip: on_clip(clip, len(stored)))
    clips = read_manifest(source, only=only)
    return score_clips(clips, scorer, looking, lambda clip: on_clip(clip, len(clips)))


def judge(scores: Sequence[ClipScores], rounds: int = 1000) -> Figures:
    """The figures of scored clips; each is ``{"value", "low", "high"}`` with its 95 % interval by identity.

    ``clips`` and ``pairs`` (one pair, one vote) hold auc, eer, ap, accuracy (P(fake) >= 0.5) and soft_accuracy;
    ``by_class`` and ``by_method`` the accuracy of each kind, and each method's AUC against all real clips;
    ``paired`` the clips whose original or fake is there too, with the share of couples in the right order.

    Raises:
        DataError: nothing could be scored, or one class alone.
    """
    scored = [s for s in scores if len(s.p_fake)]
    if not scored:
        raise DataError(
            "no clip could be scored: the first says '" + (scores[0].reason if scores else "no clips") + "'"
        )
    check_both([s.clip for s in scored], "what could be scored")
    group = groups([s.clip for s in scored])
    fake = np.array([s.clip.fake for s in scored])
    mean = np.array([s.mean for s in scored])
    counts = [len(s.p_fake) for s in scored]
    every = np.concatenate([s.p_fake for s in scored])
    every_fake, every_group = np.repeat(fake, counts), np.repeat(group, counts)
    named = {**METRICS, "soft_accuracy": soft_accuracy}
    return {
        "clips": {k: asdict(bootstrap(m, mean, fake, group, rounds)) for k, m in named.items()},
        "pairs": {k: asdict(bootstrap(m, every, every_fake, every_group, rounds)) for k, m in named.items()},
        "by_class": {
            label: _class(mean[which], fake[which], group[which], rounds)
            for label, which in (("fake", fake), ("real", ~fake))
        },
        "by_method": _by_method(scored, mean, fake, group, rounds),
        "paired": _paired(scored, rounds),
        "counts": {
            "clips": len(scored),
            "fake": int(fake.sum()),
            "real": int((~fake).sum()),
            "pairs": len(every),
            "people": len(np.unique(group)),
            "unscored": len(scores) - len(scored),
        },
        "unscored": [{"clip": s.clip.name, "reason": s.reason} for s in scores if not len(s.p_fake)],
        "scores": [
            {
                "clip": s.clip.name,
                "label": s.clip.label,
                "method": s.clip.method,
                "p_fake": s.mean,
                "pairs": len(s.p_fake),
            }
            for s in scored
        ],
    }


def _class(mean: Scores, fake: Flags, group: NDArray[np.int64], rounds: int) -> Figures:
    return {
        "clips": len(mean),
        "accuracy": asdict(bootstrap(accuracy, mean, fake, group, rounds)),
        "mean_p_fake": float(mean.mean()),
    }


def _by_method(
    scored: Sequence[ClipScores],
    mean: Scores,
    fake: Flags,
    group: NDArray[np.int64],
    rounds: int,
) -> Figures:
    methods = np.array([s.clip.method or "(not named)" for s in scored])
    found = {}
    for method in sorted(set(methods[fake].tolist())):
        these = fake & (methods == method)
        both = these | ~fake
        found[method] = {
            **_class(mean[these], fake[these], group[these], rounds),
            "auc": asdict(bootstrap(auc, mean[both], fake[both], group[both], rounds)),
        }
    return found


def _paired(scored: Sequence[ClipScores], rounds: int) -> Figures | None:
    """Couples of one video, original and fake; None where there are none."""
    both = couples(scored)
    if not both:
        return None
    among = [s for couple in both.values() for s in couple]
    mean, fakes = np.array([s.mean for s in among]), np.array([s.clip.fake for s in among])
    group = groups([s.clip for s in among])
    return {
        "couples": len(both),
        "clips": len(among),
        "auc": asdict(bootstrap(auc, mean, fakes, group, rounds)),
        "accuracy": asdict(bootstrap(accuracy, mean, fakes, group, rounds)),
        "right_order": float(np.mean([in_order(couple) for couple in both.values()])),
    }


def report(model: Path, source: Path, contract: Contract, figures: Figures) -> Figures:
    """The figures with what they were measured on."""
    return {"model": str(model), "data": str(source), "input": contract.input, "size": contract.size, **figures}


def write_json(value: Figures, out: Path) -> None:
    """Write figures as JSON; what cannot be told (NaN) becomes null. Raises OutputError."""
    runs.write_json(out, plain(value))


def plain(value: Any) -> Any:
    """Figures as JSON may hold them: NaN becomes None."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def lines(figures: Figures) -> list[tuple[str, str, int]]:
    """The figures for a table: what, value with interval, and over how many clips."""
    counts = figures["counts"]
    named = {"auc": "AUC", "eer": "equal error rate", "ap": "average precision", "accuracy": "accuracy"}
    rows = [
        (f"{name}, by {level[:-1]}", _shown(figures[level][metric], metric in ("eer", "accuracy")), counts[level])
        for level in ("clips", "pairs")
        for metric, name in named.items()
    ]
    if paired := figures["paired"]:
        rows.append(("AUC, paired clips alone", _shown(paired["auc"], False), paired["clips"]))
        rows.append(("paired clips in the right order", f"{paired['right_order']:.1%}", paired["clips"]))
    for label, told in (("altered", "fake"), ("original", "real")):
        kind = figures["by_class"][told]
        rows.append((f"accuracy, {label}", _shown(kind["accuracy"], True), kind["clips"]))
    for method, kind in figures["by_method"].items():
        rows.append((f"AUC, {method} against all real", _shown(kind["auc"], False), kind["clips"]))
    return rows


def _shown(figure: dict[str, float], percent: bool) -> str:
    value, low, high = (
        "-" if math.isnan(figure[k]) else f"{figure[k]:.1%}" if percent else f"{figure[k]:.3f}"
        for k in ("value", "low", "high")
    )
    return f"{value} ({low} to {high})"
