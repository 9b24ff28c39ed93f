"""Averaging checkpoints: the mean of every weight, of networks of one form alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stream.contract import Contract
from stream.errors import ModelError, UsageError
from tests.test_train_judging import run
from train.average import average
from train.models import build, read_checkpoint

FORM = Contract(size=32)


def checkpoint(file: Path, weight: float, contract: Contract = FORM, count: int = 3) -> Path:
    """A ResNet18 all of whose floating point weights are ``weight`` and whose counters are ``count``."""
    state = build(contract, "resnet18").state_dict()
    same = {k: torch.full_like(v, weight if v.is_floating_point() else count) for k, v in state.items()}
    told = {"arch": "resnet18", "recipe": {"name": file.stem}, "contract": contract.to_json()}
    file.parent.mkdir(exist_ok=True)
    torch.save({"model": same, **told, "raw": same, "optimizer": {}, "stands": {"step": 9}}, file)
    return file


def test_every_weight_is_the_mean_and_the_rest_is_the_last_ones(tmp_path: Path) -> None:
    trained = Contract(size=32, trained_on="faces", scores={"valid_auc": 0.9}, commit="abc")
    files = [checkpoint(tmp_path / "a.pt", 1.0), checkpoint(tmp_path / "b.pt", 4.0, trained, count=7)]
    average(files, tmp_path / "mean.pt")
    told = read_checkpoint(tmp_path / "mean.pt")
    assert told.keys() == {"model", "arch", "recipe", "contract"}  # nothing that a run could go on from
    assert {float(v.min()) for v in told["model"].values()} == {2.5, 7.0}
    assert {float(v.max()) for v in told["model"].values()} == {2.5, 7.0}
    assert told["recipe"] == {"name": "b"}
    contract = Contract.from_json(told["contract"])
    assert contract.trained_on == "mean of 2 networks, the last: faces"
    assert contract.scores == {} and contract.commit != "abc"


def test_a_learned_flow_is_taken_along(tmp_path: Path) -> None:
    learned = replace(FORM, flow_method="pwcnet", flow_options={"file": "flow.onnx", "sha256": "0" * 64})
    files = [checkpoint(tmp_path / name / "best.pt", 1.0, learned) for name in ("trunk", "run")]
    (tmp_path / "run" / "flow.onnx").write_bytes(b"a network")
    average(files, tmp_path / "mean.pt")
    assert (tmp_path / "flow.onnx").read_bytes() == b"a network"


def test_networks_of_two_forms_or_one_alone_are_refused(tmp_path: Path) -> None:
    one, other = checkpoint(tmp_path / "a.pt", 1.0), checkpoint(tmp_path / "b.pt", 1.0, Contract(size=48))
    with pytest.raises(ModelError, match="not of one network"):
        average([one, other], tmp_path / "mean.pt")
    with pytest.raises(UsageError, match="two checkpoints"):
        average([one], tmp_path / "mean.pt")
    assert not (tmp_path / "mean.pt").exists()


def test_the_command_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [checkpoint(tmp_path / f"{k}.pt", k) for k in (1, 2)]
    run("average", *files, "--out", tmp_path / "mean.pt")
    assert capsys.readouterr().out.endswith("mean.pt: the mean of 2 networks\n")
