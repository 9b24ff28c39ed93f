from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from stream.errors import DataError, UsageError
from tests.trainset import SmallBody, small_store
from train.ablate import Outcome, markdown, one_split, outcomes, run_trials, trainer, write_table
from train.fit import Setting
from train.manifest import Clip, read_manifest
from train.metrics import ClipScores, Interval
from train.recipe import Recipe
from train.scoring import open_scorer, score_stored
from train.store import open_store

NAMES = ("r0", "r1", "r2", "f0", "f1", "f2")


def scores(values: Sequence[float | None]) -> list[ClipScores]:
    found = []
    for name, value in zip(NAMES, values, strict=True):
        clip = Clip(name, Path(name), "fake" if name[0] == "f" else "real", "", (name,))
        told = [] if value is None else [value]
        found.append(ClipScores(clip, np.zeros(len(told)), np.array(told)))
    return found


RIGHT, HALF = scores([0.1, 0.2, 0.3, 0.7, 0.8, 0.9]), scores([0.1, 0.5, 0.9, 0.1, 0.5, 0.9])


def test_every_form_is_run_with_every_seed_and_seeds_come_last() -> None:
    ran: list[tuple[str, int]] = []

    def trial(form: str, seed: int) -> list[ClipScores]:
        ran.append((form, seed))
        return RIGHT

    told: list[float] = []
    run_trials(trial, ("rgb", "flow"), (0, 1), lambda form, seed, auc: told.append(auc))
    assert ran == [("rgb", 0), ("flow", 0), ("rgb", 1), ("flow", 1)]
    assert told == [1.0] * 4


@pytest.mark.parametrize(("forms", "seeds"), [(("rgb", "depth"), (0,)), ((), (0,)), (("rgb",), ())])
def test_an_impossible_trial_is_refused_before_any_run(forms: tuple[str, ...], seeds: tuple[int, ...]) -> None:
    with pytest.raises(UsageError):
        run_trials(lambda form, seed: pytest.fail("ran"), forms, seeds, lambda *_: None)


def test_a_form_is_told_by_its_mean_its_spread_and_its_difference_to_the_plain_picture() -> None:
    rgb, flow = outcomes({"rgb": {0: RIGHT, 1: HALF}, "flow": {0: HALF, 1: HALF}}, rounds=50)
    assert rgb.seeds == {0: 1.0, 1: 0.5}
    assert rgb.auc.value == 0.75
    assert rgb.spread == pytest.approx(0.5 / 2**0.5)
    assert rgb.over_rgb is None
    assert flow.over_rgb is not None
    assert flow.over_rgb.value == -0.25
    assert flow.over_rgb.low <= -0.25 <= flow.over_rgb.high


def test_only_clips_that_every_network_scored_are_compared() -> None:
    (row,) = outcomes({"rgb": {0: scores([0.1, None, 0.3, 0.7, 0.8, 0.9]), 1: HALF}}, rounds=10)
    assert row.seeds[1] == pytest.approx(4 / 9 + 1 / 18)
    with pytest.raises(DataError):
        outcomes({"rgb": {0: scores([None, None, None, 0.7, 0.8, 0.9])}})


def test_the_table_puts_the_best_first(tmp_path: Path) -> None:
    rows = [
        Outcome("rgb", {0: 0.6}, Interval(0.6, 0.5, 0.7), float("nan"), None),
        Outcome("stack", {0: 0.7, 1: 0.8}, Interval(0.75, 0.65, 0.85), 0.07, Interval(0.15, -0.02, 0.3)),
    ]
    lines = markdown(rows, "dev").splitlines()
    assert lines[2] == ("| stack | 0.750 (0.650 to 0.850) | 0.700, 0.800 | 0.070 | +0.150 (-0.020 to +0.300) |")
    assert lines[3] == "| rgb | 0.600 (0.500 to 0.700) | 0.600 | - | - |"
    assert lines[-1] == "dev"
    write_table(rows, "dev", tmp_path / "out")
    assert (tmp_path / "out" / "table.md").read_text() == markdown(rows, "dev")
    assert '"spread": null' in (tmp_path / "out" / "table.json").read_text()


def test_forms_are_trained_alike_on_one_split_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.models._resnet18", SmallBody)
    store = small_store(tmp_path / "store", pairs=4)
    recipe = Recipe(
        epochs=1, batch=8, valid_batch=8, lr=0.01, contract={"input": "stack", "mean": [0.4] * 6, "std": [0.1] * 6}
    )
    parts = one_split(store, recipe, tmp_path / "split")
    train = {c.name for c in read_manifest(parts / "train.csv", need_files=False)}
    valid = {c.name for c in read_manifest(parts / "valid.csv", need_files=False)}
    assert len(train) + len(valid) == 12
    assert not train & valid

    def judge(checkpoint: Path) -> list[ClipScores]:
        return score_stored(open_store(store).clips, open_scorer(checkpoint, "cpu"))

    trial = trainer(store, tmp_path, recipe, Setting("cpu", 0, parts), judge)
    found = run_trials(trial, ("rgb", "stack"), (0,), lambda *_: None)
    assert [row.form for row in outcomes(found, rounds=10)] == ["rgb", "stack"]
    # The recipe's own mean and std go where they fit.
    assert open_scorer(tmp_path / "stack-0" / "best.pt", "cpu").contract.mean == (0.4,) * 6
    assert open_scorer(tmp_path / "rgb-0" / "best.pt", "cpu").contract.mean == (0.485, 0.456, 0.406)
