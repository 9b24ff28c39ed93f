"""Training: the same curves from one process or two, the same result after a kill, a folder that explains itself."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from trainset import SMALL, SmallBody, small_store

import train.models
from stream.contract import Contract
from stream.errors import DataError, FlowtellError, UsageError
from stream.records import Image
from train.augment import Augment
from train.fit import Setting, fit
from train.manifest import write_manifest
from train.models import load, read_checkpoint
from train.recipe import Recipe, read_recipe
from train.store import open_store

RESNET18 = train.models._resnet18
ALONE = Setting("cpu", workers=0)
TINY = Recipe(
    name="tiny",
    lr=0.05,
    batch=8,
    valid_batch=8,
    epochs=2,
    valid_share=0.34,
    balance="pair",
    augment=Augment(flip=0.5, noise=0.5),
    checkpoint_steps=2,
    epoch_samples=24,
)


@pytest.fixture(autouse=True, scope="module")
def _small_and_alone() -> Iterator[None]:
    # Sums in another order would end in other digits.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.models._resnet18", SmallBody)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_store(tmp_path_factory.mktemp("data") / "store")


def apart(
    store: Path,
    out: Path,
    recipe: Recipe,
    processes: int = 1,
    kill_at: int = 0,
    kill_in_save: int = 0,
    stand_at: int = 0,
) -> int:
    """Fit in processes of their own; gives the exit status.

    Each is killed with SIGKILL once it has taken step ``kill_at``, or in the middle of writing its
    ``kill_in_save``-th checkpoint. At step ``stand_at`` the first one stands still, which leaves the others waiting in
    the middle of what comes next, and all are killed with torchrun.
    """
    script = f"""
import os, signal, torch
from pathlib import Path
import train.models
from trainset import SmallBody
train.models._resnet18 = SmallBody
from train.fit import Setting, fit
from train.recipe import from_values
torch.set_num_threads(1)
saves, whole = [], torch.save
def save(state, file):
    saves.append(file)
    if len(saves) == {kill_in_save}:
        file.write(b"half a checkpoint")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    whole(state, file)
torch.save = save
def on_step(step, total, loss):
    if step == {kill_at}:
        os.kill(os.getpid(), signal.SIGKILL)
    if step == {stand_at}:
        os.write(1, b"%d\\n" % os.getpid())  # at once: torchrun's Pythons write a print in two parts
        if os.environ["RANK"] == "0":
            signal.pause()
fit(Path({str(store)!r}), Path({str(out)!r}), from_values({recipe.values()!r}), Setting("cpu", 0), on_step)
"""
    file = out.with_suffix(".py")
    file.write_text(script)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(torchrun if processes > 1 else []), str(file)]
    path = os.pathsep.join(str(folder) for folder in Path(__file__).parents[:2])
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        try:
            if stand_at:
                assert run.stdout is not None
                # torchrun first, which would answer for the others.
                for pid in (run.pid, *[int(run.stdout.readline()) for _ in range(processes)]):
                    os.kill(pid, signal.SIGKILL)
            run.communicate(timeout=900)  # until the last of them has let go of its output
        finally:
            run.kill()
    return run.returncode


def rows(file: Path) -> list[dict[str, float]]:
    with file.open() as text:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(text)]


def alike(one: Path, other: Path) -> None:
    """Two runs have the same curves and weights, to the last digit."""
    for name in ("steps.csv", "curves.csv"):
        assert (one / name).read_text() == (other / name).read_text()
    there, here = (read_checkpoint(folder / "last.pt") for folder in (one, other))
    for part in ("model", "raw"):
        assert all(torch.equal(here[part][k], v) for k, v in there[part].items())


def test_a_run_learns_and_leaves_a_folder_that_explains_itself(store: Path, tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []
    judgement = fit(store, tmp_path, replace(TINY, epochs=5), ALONE, on_epoch=seen.append)
    assert {p.name for p in tmp_path.iterdir()} == {
        "config.json",
        "steps.csv",
        "curves.csv",
        "curves.png",
        "last.pt",
        "best.pt",
        "evaluation.json",
    }
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["recipe"]["name"] == "tiny"
    assert config["contract"]["size"] == 32
    assert config["parts"]["train"]["clips"] + config["parts"]["valid"]["clips"] == 12
    assert config["environment"]["packages"]["torch"] == torch.__version__.split("+")[0]
    assert set(config["environment"]) >= {"commit", "changed", "python"}
    assert len(rows(tmp_path / "steps.csv")) == 15
    assert rows(tmp_path / "curves.csv") == seen
    assert seen[-1]["train_loss"] < seen[0]["train_loss"]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert judgement["part"] == "valid"
    assert (
        judgement["clips"]["auc"]["value"]
        == json.loads((tmp_path / "evaluation.json").read_text())["clips"]["auc"]["value"]
    )
    network, contract = load(tmp_path / "best.pt")
    assert contract.trained_on.startswith("tiny: 4 real and 4 fake clips of 4 people")
    assert contract.scores["valid_auc"] == max(row["valid_auc"] for row in seen)
    assert not network.training


TOGETHER = replace(TINY, ema=0.9, clip_norm=1.0)


@pytest.fixture(scope="module")
def together(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unbroken run of two processes."""
    out = tmp_path_factory.mktemp("together") / "run"
    assert apart(store, out, TOGETHER, processes=2) == 0
    return out


def test_two_processes_give_the_loss_curve_of_one_with_the_same_batch(
    store: Path, together: Path, tmp_path: Path
) -> None:
    fit(store, tmp_path, TOGETHER, ALONE)
    one, two = ([row["loss"] for row in rows(folder / "steps.csv")] for folder in (tmp_path, together))
    assert len(one) == 6
    assert two == pytest.approx(one, abs=1e-4)
    for first, second in zip(*(rows(folder / "curves.csv") for folder in (tmp_path, together)), strict=True):
        assert second["valid_loss"] == pytest.approx(first["valid_loss"], abs=1e-4)
    assert json.loads((together / "config.json").read_text())["processes"] == 2


def test_two_processes_killed_together_go_on_to_the_same_result(store: Path, together: Path, tmp_path: Path) -> None:
    # Exactly the same: the sum of two gradients is one, whichever comes first.
    killed = tmp_path / "killed"
    assert apart(store, killed, TOGETHER, processes=2, stand_at=5) == -signal.SIGKILL
    assert read_checkpoint(killed / "last.pt")["stands"]["step"] == len(rows(killed / "steps.csv")) == 4
    assert apart(store, killed, TOGETHER, processes=2) == 0
    alike(together, killed)


EVERYTHING = replace(TINY, optimizer="adamw", schedule="onecycle", ema=0.9, clip_norm=1.0, label_smoothing=0.1)


@pytest.fixture(scope="module")
def whole(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unbroken run of everything that has a state."""
    fit(store, out := tmp_path_factory.mktemp("whole"), EVERYTHING, ALONE)
    return out


@pytest.mark.parametrize(
    ("moment", "last"),
    [({"kill_at": 1}, 0), ({"kill_at": 5}, 4), ({"kill_in_save": 3}, 2)],
    ids=["before any checkpoint", "between two", "while one is written"],
)
def test_a_run_killed_at_any_moment_goes_on_to_the_same_result(
    store: Path, whole: Path, tmp_path: Path, moment: dict[str, int], last: int
) -> None:
    killed = tmp_path / "killed"
    assert apart(store, killed, EVERYTHING, **moment) == -signal.SIGKILL
    assert (killed / "last.pt").is_file() is (last > 0)
    if last:
        assert read_checkpoint(killed / "last.pt")["stands"]["step"] == last
    fit(store, killed, EVERYTHING, ALONE)
    alike(whole, killed)


def test_accumulating_gradients_takes_the_same_samples(store: Path, tmp_path: Path) -> None:
    # Not the same losses: batch normalisation sees the smaller passes.
    fit(store, tmp_path / "cut", replace(TINY, accumulate=2, epochs=1), ALONE)
    steps = rows(tmp_path / "cut" / "steps.csv")
    assert len(steps) == 3
    assert all(0.1 < row["loss"] < 3 for row in steps)


def test_frozen_children_do_not_learn_when_pretrained(store: Path, tmp_path: Path) -> None:
    fit(store, tmp_path / "first", replace(TINY, epochs=1), ALONE)
    weights = str(tmp_path / "first" / "best.pt")
    fit(store, tmp_path / "next", replace(TINY, epochs=1, weights=weights, frozen_children=2), ALONE)
    before, after = (load(tmp_path / name / "best.pt")[0].body for name in ("first", "next"))
    assert torch.equal(before.get_parameter("conv1.weight"), after.get_parameter("conv1.weight"))
    assert torch.equal(before.get_parameter("bn1.weight"), after.get_parameter("bn1.weight"))
    assert not torch.equal(before.get_parameter("fc.weight"), after.get_parameter("fc.weight"))


class Made:
    """Samples made on the fly: bright is altered, dark is original."""

    def __len__(self) -> int:
        return 16

    def sample(self, epoch: int, index: int) -> tuple[Image, int]:
        label = index % 2
        return np.full((32, 32, 3), 60 if label else 190, np.uint8), label


def made(source: Path, contract: Contract, part: str, recipe: Recipe) -> Made:
    assert (source, contract.size, recipe.options["mix"]) == (Path("anywhere"), 32, "b")
    assert part in ("train", "valid")
    return Made()


def test_samples_may_be_made_on_the_fly_by_a_named_function(tmp_path: Path) -> None:
    recipe = replace(TINY, data=f"{__name__}:made", contract={"size": 32}, options={"mix": "b"}, epoch_samples=0)
    figures = fit(Path("anywhere"), tmp_path, recipe, Setting("cpu", workers=2))
    assert len(rows(tmp_path / "steps.csv")) == 4
    assert figures == json.loads((tmp_path / "evaluation.json").read_text())
    assert figures["part"] == "valid"
    assert figures["valid_auc"] == max(row["valid_auc"] for row in rows(tmp_path / "curves.csv"))


def test_workers_start_although_opencv_has_threads_already(tmp_path: Path) -> None:
    # As in 'train ablate', which judges one network before it trains the next.
    before = cv2.getNumThreads()
    cv2.setNumThreads(4)
    try:
        picture = np.random.default_rng(0).integers(0, 255, (720, 1280), np.uint8)
        cv2.calcOpticalFlowFarneback(picture, np.roll(picture, 1, 1), None, 0.5, 3, 15, 3, 5, 1.2, 0)
        recipe = replace(TINY, data=f"{__name__}:made", contract={"size": 32}, options={"mix": "b"}, epochs=1)
        fit(Path("anywhere"), tmp_path, recipe, Setting("cpu", workers=1))
    finally:
        cv2.setNumThreads(before)
    assert len(rows(tmp_path / "steps.csv")) == 3


def test_a_split_folder_is_refused_where_there_is_no_store_to_part(tmp_path: Path) -> None:
    recipe = replace(TINY, data=f"{__name__}:made", contract={"size": 32}, options={"mix": "b"})
    with pytest.raises(UsageError, match="--split parts a store"):
        fit(Path("anywhere"), tmp_path / "run", recipe, replace(ALONE, split=tmp_path))


def test_parts_can_come_from_a_split_folder(store: Path, tmp_path: Path) -> None:
    clips = [s.clip for s in open_store(store).clips]
    for clip in clips:
        clip.path.touch()
    try:
        write_manifest(clips[:8], tmp_path / "train.csv")
        write_manifest(clips[8:10], tmp_path / "valid.csv")
        write_manifest(clips[10:], tmp_path / "test.csv")
        judged = fit(store, tmp_path / "run", replace(TINY, epochs=1, test_share=0.1), replace(ALONE, split=tmp_path))
    finally:
        for clip in clips:
            clip.path.unlink()
    assert judged["part"] == "test"
    assert [row["clip"] for row in judged["scores"]] == ["10.mp4", "11.mp4"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"batch": 1000}, "fewer than one batch of 1000"),
        ({"batch": 7, "accumulate": 2}, "cannot be cut into 1 processes x 2"),
        ({"valid_share": 0.01, "test_share": 0.01}, "holds no"),
        ({"data": "nowhere:made"}, "cannot be imported"),
        ({"data": "store2"}, "must be store, synthetic or module:function"),
        ({"contract": {"size": 48}}, "another contract"),
        ({"weights": "gone.pt"}, "no file gone.pt"),
    ],
)
def test_what_cannot_work_is_one_clear_error_before_any_step(
    store: Path, tmp_path: Path, change: dict[str, object], says: str
) -> None:
    with pytest.raises(FlowtellError, match=says):
        fit(store, tmp_path / "run", replace(TINY, **change), ALONE)  # type: ignore[arg-type]
    assert not (tmp_path / "run" / "steps.csv").exists()


def test_another_run_in_the_folder_is_not_touched(store: Path, tmp_path: Path) -> None:
    fit(store, tmp_path, replace(TINY, epochs=1), ALONE)
    before = (tmp_path / "last.pt").read_bytes()
    with pytest.raises(UsageError, match="holds a run with another recipe"):
        fit(store, tmp_path, replace(TINY, epochs=1, lr=0.1), ALONE)
    with pytest.raises(DataError, match="is no pair store"):
        fit(tmp_path / "none", tmp_path, TINY, ALONE)
    assert (tmp_path / "last.pt").read_bytes() == before


def test_a_loss_that_is_no_number_stops_the_run(store: Path, tmp_path: Path) -> None:
    with pytest.raises(FlowtellError, match="no longer a number at step"):
        fit(store, tmp_path, replace(TINY, lr=1e38), ALONE)


def test_the_notebooks_recipe_runs_in_mixed_precision(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.models._resnet18", RESNET18)
    changes = ["weights=none", "batch=16", "epochs=1", "precision=bf16-mixed", "test_share=0.2"]
    judged = fit(store, tmp_path, read_recipe("notebook-resnet18", changes), ALONE)
    assert judged["part"] == "test"
    assert 0 <= rows(tmp_path / "curves.csv")[0]["valid_soft_accuracy"] <= 100
    assert load(tmp_path / "best.pt")[1].size == SMALL.size
