"""Training a flow network: it learns, goes on after an interruption to the same result, and exports what it learned."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut

from stream.errors import DataError, UsageError
from stream.flows import LearnedFlow
from train import flow_train
from train.bench_flow import Judged, flow, judge_flows
from train.flow_train import FlowOptions, batches, end_point_error, flow_loss, train_flow

OPTIONS = FlowOptions(size=32, steps=4, batch=2, every=2)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(30):
        cv2.imwrite(str(folder / f"{i}.png"), np.roll(astronaut()[:128, 60:188, ::-1], 9 * i, axis=1))
    return folder


@pytest.fixture(scope="module")
def unbroken(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unbroken")
    train_flow(pictures, out, OPTIONS, say=lambda line: None)
    return out


def test_the_run_leaves_its_settings_its_curve_and_a_network_that_the_stream_can_use(unbroken: Path) -> None:
    assert {p.name for p in unbroken.iterdir()} == {"config.json", "curve.csv", "last.pt", "flow.onnx"}
    with (unbroken / "curve.csv").open(newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4"]
    flow = LearnedFlow(unbroken / "flow.onnx")
    crop = np.zeros((48, 48, 3), np.uint8)
    assert flow.size == 32 and flow(crop, crop).shape == (48, 48, 2)


def test_a_run_that_was_killed_goes_on_to_the_same_result(
    pictures: Path, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = flow_train.batches

    def killed(*given: object) -> object:
        for i, batch in enumerate(whole(*given)):  # type: ignore[arg-type]
            if i == 3 and given[1] is OPTIONS:
                raise KeyboardInterrupt
            yield batch

    # What is exported is the other test's matter.
    monkeypatch.setattr(flow_train, "export_flow", lambda net, size, file, about: file)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(flow_train, "batches", killed)
        train_flow(pictures, tmp_path, OPTIONS, say=lambda line: None)
    said: list[str] = []
    train_flow(pictures, tmp_path, OPTIONS, say=said.append)
    assert "going on after step 2" in said
    one, two = (torch.load(folder / "last.pt", weights_only=True) for folder in (unbroken, tmp_path))
    assert one["curve"] == two["curve"]
    assert all(torch.equal(one["net"][k], two["net"][k]) for k in one["net"])


def test_another_runs_folder_is_not_gone_on_with(pictures: Path, unbroken: Path) -> None:
    with pytest.raises(DataError, match="a run with other settings"):
        train_flow(pictures, unbroken, replace(OPTIONS, steps=5), say=lambda line: None)


def test_settings_that_cannot_be_meant_are_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown plan 'huge'"):
        train_flow(tmp_path, tmp_path, replace(OPTIONS, plan="huge"))
    with pytest.raises(UsageError, match="multiple of 16"):
        train_flow(tmp_path, tmp_path, replace(OPTIONS, size=100))


def test_the_loss_is_the_papers_weighted_end_point_error() -> None:
    truth = torch.zeros(1, 8, 8, 2)
    truth[..., 0] = 20.0  # one in the network's unit
    zero = [torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 4, 4)]
    assert float(flow_loss(zero, truth)) == pytest.approx(0.005 * 16 + 0.01 * 4, abs=1e-5)
    exact = [torch.ones(1, 2, 2, 2) * torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1)]
    assert float(flow_loss(exact, truth)) == pytest.approx(0, abs=1e-4)


def test_the_end_point_error_is_the_mean_length_of_the_difference() -> None:
    assert end_point_error(torch.zeros(1, 4, 4, 2), torch.tensor([3.0, 4.0]).expand(1, 4, 4, 2)) == 5.0


def test_the_samples_of_a_step_are_its_own_wherever_a_run_starts(pictures: Path) -> None:
    files = sorted(pictures.iterdir())
    late = next(batches(files, OPTIONS, 2, 3))
    run = list(batches(files, OPTIONS, 0, 3))[2]
    assert all(torch.equal(a, b) for a, b in zip(late, run, strict=True))


def test_flows_are_judged_on_the_same_pairs(pictures: Path) -> None:
    zero = judge_flows(pictures, {"still": lambda a, b: np.zeros((64, 64, 2), np.float32)}, size=64, pairs=12)[0]
    again = judge_flows(pictures, {"still": lambda a, b: np.zeros((64, 64, 2), np.float32)}, size=64, pairs=12)[0]
    assert zero.error_px == again.error_px and zero.slow_px < 1 < zero.fast_px


def test_the_bench_writes_what_it_shows_as_json_with_null_where_nothing_moved_so_slowly(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.bench_flow.judge_flows", lambda *given: [Judged("still", 2.5, float("nan"), 2.5, 0.25)])
    flow(pictures, size=64, pairs=3)
    told = capsys.readouterr()
    printed = json.loads(told.out)
    assert "flows on 3 pairs of 64 px" in told.err
    assert (printed["size_px"], printed["pairs"]) == (64, 3) and printed["machine"]["cores"] > 0
    still = {"name": "still", "error_px": 2.5, "slow_px": None, "fast_px": 2.5, "cpu_ms": 0.25}
    assert printed["flows"] == [still]
    flow(pictures, size=64, pairs=3, out=tmp_path / "new" / "flows.json")
    assert capsys.readouterr().out == ""
    assert json.loads((tmp_path / "new" / "flows.json").read_text())["flows"] == [still]
