"""The commands: each is told by what it leaves behind and what it says."""

import json
from pathlib import Path

import pytest

from stream.contract import Contract
from stream.model import Model
from tests.test_train_calibrate import sigmoid_model
from tests.trainset import SmallBody, portrait_video, small_store
from train.cli import app
from train.manifest import Clip, write_manifest

CONTRACT = Contract(input="rgb", size=32, min_pairs=2)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    clips = [
        Clip("r.mp4", portrait_video(tmp_path / "r.mp4", 8), "real", "", ("a",)),
        Clip("f.mp4", portrait_video(tmp_path / "f.mp4", 8, fake=True), "fake", "toy", ("a",)),
    ]
    write_manifest(clips, tmp_path / "clips.csv")
    return tmp_path / "clips.csv"


def run(*words: object) -> None:
    with pytest.raises(SystemExit) as ended:
        app([str(word) for word in words])
    assert not ended.value.code


def test_calibrate_writes_a_model_and_says_its_thresholds(
    tmp_path: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = sigmoid_model(tmp_path / "m.onnx", CONTRACT)
    run("calibrate", model, manifest, tmp_path / "c.onnx", "--workers", 1, "--device", "cpu", "--by-window")
    contract = Model(tmp_path / "c.onnx", "cpu").contract
    assert contract.scores["calibrated_on"] | {"thresholds": None} == {
        "real": 1,
        "fake": 1,
        "by": "window",
        "rates": [0.02, 0.05],
        "thresholds": None,
    }
    assert f"FAKE from {contract.thresholds.fake_enter:g}" in capsys.readouterr().out


def test_explain_leaves_its_pictures_where_it_is_told(tmp_path: Path, manifest: Path) -> None:
    model = sigmoid_model(tmp_path / "m.onnx", CONTRACT)
    run("explain", model, manifest, "--out", tmp_path / "out", "--clips", 2, "--workers", 1, "--device", "cpu")
    assert (tmp_path / "out" / "clips.png").is_file()
    assert len(json.loads((tmp_path / "out" / "saliency.json").read_text())["clips"]) == 2


def test_evaluate_makes_a_quick_report(tmp_path: Path, manifest: Path) -> None:
    model = sigmoid_model(tmp_path / "m.onnx", CONTRACT)
    words = ("--quick", "--every-pair", "--workers", 1, "--device", "cpu")
    run("evaluate", model, manifest, "--report", tmp_path / "out", *words)
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "robustness" not in told and told["rate_hz"] is None
    assert [row["pairs"] for row in told["scores"]] == [6, 6]  # 10 a second would be 3
    assert (tmp_path / "out" / "report.html").is_file()


def test_ablate_leaves_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("train.models._resnet18", SmallBody)
    store = small_store(tmp_path / "store", pairs=2)
    words = ("--recipe", "notebook-resnet18", "--forms", "rgb, flow", "--seeds", 1, "--accelerator", "cpu")
    small = [f"--set={c}" for c in ("epochs=1", "batch=4", "weights=none", "test_share=0.0", "best=auc")]
    run("ablate", store, store, tmp_path / "out", *words, "--workers", 0, *small)
    table = (tmp_path / "out" / "table.md").read_text()
    assert table.startswith("| input | AUC, clips")
    assert "| flow |" in table
    assert table.strip() in capsys.readouterr().out
