"""Flow on trial: the same recipe, data and budget for every input form and several seeds, in one table.

Each form's figure is the mean over seeds of the clip AUC, with a 95 % interval over people; beside it stand the spread
between seeds and the difference to the plain picture, drawn over the same people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from stream.contract import CHANNELS, Input
from stream.errors import DataError, OutputError, UsageError

from .evaluate import write_json
from .manifest import Clip, write_manifest
from .metrics import ClipScores, Interval, auc, bootstrap, groups
from .recipe import Recipe
from .split import split
from .store import open_store, write_atomically

if TYPE_CHECKING:
    from .fit import Setting  # torch takes seconds to import

FORMS = ("rgb", "flow", "fused", "stack")
PLAIN = "rgb"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one form reached: its AUC of each seed, their mean with its interval, and the difference to plain RGB."""

    form: str
    seeds: dict[int, float]
    auc: Interval
    spread: float
    over_rgb: Interval | None


Trial = Callable[[str, int], Sequence[ClipScores]]
"""An input form and a seed -> the scores of the clips that judge, from a network trained so."""


def run_trials(
    trial: Trial, forms: Sequence[str], seeds: Sequence[int], on_trial: Callable[[str, int, float], None]
) -> dict[str, dict[int, list[ClipScores]]]:
    """Every form with every seed; seeds outside, so that a run cut short still compares all forms.

    Raises:
        UsageError: an unknown form, or none; no seed.
    """
    if unknown := [form for form in forms if form not in FORMS]:
        raise UsageError(f"no input form {unknown[0]!r}: give some of {', '.join(FORMS)}")
    if not forms or not seeds:
        raise UsageError("a trial needs at least one input form and one seed")
    found: dict[str, dict[int, list[ClipScores]]] = {form: {} for form in forms}
    for seed in seeds:
        for form in forms:
            scores = list(trial(form, seed))
            found[form][seed] = scores
            told = [s for s in scores if len(s.p_fake)]
            on_trial(form, seed, auc(np.array([s.mean for s in told]), np.array([s.clip.fake for s in told], bool)))
    return found


def outcomes(found: Mapping[str, Mapping[int, Sequence[ClipScores]]], rounds: int = 1000) -> list[Outcome]:
    """The table's rows, over the clips that every network of every form could score.

    Raises:
        DataError: no clip, or clips of one class alone, could be scored by all.
    """
    every = [scores for by_seed in found.values() for scores in by_seed.values()]
    common = set.intersection(*({s.clip.name for s in scores if len(s.p_fake)} for scores in every))
    clips: list[Clip] = [s.clip for s in every[0] if s.clip.name in common]
    fake, group = np.array([c.fake for c in clips], bool), groups(clips)
    if not len(fake) or fake.all() or not fake.any():
        raise DataError("no real and fake clips could be scored by every network: give more clips to judge by")
    tables = {
        form: np.array([[_by_name(scores)[c.name] for c in clips] for scores in by_seed.values()])
        for form, by_seed in found.items()
    }
    rows = np.arange(len(clips), dtype=float)  # they travel through the bootstrap in place of scores

    def mean_auc(form: str) -> Callable[[np.ndarray[Any, Any], np.ndarray[Any, Any]], float]:
        return lambda at, y: float(np.mean([auc(row[at.astype(int)], y) for row in tables[form]]))

    def over(form: str) -> Interval | None:
        if form == PLAIN or PLAIN not in tables:
            return None
        mine, plain = mean_auc(form), mean_auc(PLAIN)
        return bootstrap(lambda at, y: mine(at, y) - plain(at, y), rows, fake, group, rounds)

    return [
        Outcome(
            form,
            by_seed := {seed: auc(row, fake) for seed, row in zip(found[form], tables[form], strict=True)},
            bootstrap(mean_auc(form), rows, fake, group, rounds),
            float(np.std(list(by_seed.values()), ddof=1)) if len(by_seed) > 1 else float("nan"),
            over(form),
        )
        for form in found
    ]


def _by_name(scores: Sequence[ClipScores]) -> dict[str, float]:
    return {s.clip.name: s.mean for s in scores}


def markdown(rows: Sequence[Outcome], note: str = "") -> str:
    """The table as a README would hold it, the best form first."""
    lines = [
        "| input | AUC, clips (95 %) | each seed | spread | over rgb (95 %) |",
        "|---|---|---|---|---|",
        *(
            f"| {row.form} | {_shown(row.auc)} | {', '.join(f'{value:.3f}' for value in row.seeds.values())} | "
            f"{'-' if np.isnan(row.spread) else f'{row.spread:.3f}'} | {_shown(row.over_rgb, '+.3f')} |"
            for row in sorted(rows, key=lambda row: -row.auc.value)
        ),
    ]
    return "\n".join([*lines, *(["", note] if note else [])]) + "\n"


def _shown(figure: Interval | None, form: str = ".3f") -> str:
    if figure is None:
        return "-"
    return f"{figure.value:{form}} ({figure.low:{form}} to {figure.high:{form}})"


def write_table(rows: Sequence[Outcome], note: str, folder: Path) -> None:
    """``table.md`` and ``table.json``. Raises OutputError where they cannot be written."""
    write_json({"note": note, "forms": [asdict(row) for row in rows]}, folder / "table.json")
    write_atomically(folder / "table.md", lambda file: file.write(markdown(rows, note).encode()))


def one_split(store: Path, recipe: Recipe, folder: Path) -> Path:
    """Training and validation people of a store, dealt out once, so that every run learns from the same clips.

    Raises:
        DataError: the store cannot be used or split. OutputError: ``folder`` cannot be written.
    """
    clips = [stored.clip for stored in open_store(store).clips]
    shares = {"train": 1 - recipe.valid_share, "valid": recipe.valid_share}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, part in split(clips, shares).parts.items():
            write_manifest(part, folder / f"{name}.csv")
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}): choose another place") from error
    return folder


def trainer(
    source: Path, out: Path, recipe: Recipe, setting: Setting, judge: Callable[[Path], list[ClipScores]]
) -> Trial:
    """Trials by ``train.fit`` into folders of their own, ``out/FORM-SEED``; those that are done are not run again.

    recipe: only its input and seed change, and mean and std with the channels. judge: a checkpoint's file -> scores.
    """
    from .fit import fit  # noqa: PLC0415  (torch takes seconds to import)

    def trial(form: str, seed: int) -> list[ClipScores]:
        folder = out / f"{form}-{seed}"
        # The recipe's mean and std are for its own form: one with other channels takes the default.
        channels = [CHANNELS[cast(Input, name)] for name in (form, recipe.contract.get("input", "fused"))]
        fits = {k: v for k, v in recipe.contract.items() if k not in ("mean", "std") or channels[0] == channels[1]}
        fit(source, folder, replace(recipe, seed=seed, contract={**fits, "input": form}), setting)
        return judge(folder / "best.pt")

    return trial
