"""Evaluation: exact figures from known scores, the live path for exported files, and nothing that JSON cannot hold."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import tiny_model
from trainset import SMALL, portrait_video, small_store

from stream.check import check_file
from stream.contract import Contract
from stream.errors import DataError, ModelError, OutputError
from stream.model import Model
from train.evaluate import gather, judge, lines, plain, report, write_json
from train.manifest import Clip
from train.metrics import ClipScores
from train.models import build
from train.scoring import Looking, open_scorer, score_clips, score_stored
from train.store import open_store

RGB = Contract(size=32, input="rgb")


def scored(name: str, label: str, *p_fake: float, method: str = "", pair: str = "", who: str = "") -> ClipScores:
    clip = Clip(name, Path(name), "fake" if label == "fake" else "real", method, (who or name,), pair)
    return ClipScores(clip, np.arange(len(p_fake)) / 25, np.array(p_fake), reason="" if p_fake else "no face")


SCORES = [
    scored("a", "real", 0.1, 0.3, pair="v"),
    scored("b", "fake", 0.9, 0.7, method="swap", pair="v"),
    scored("c", "real", 0.6),
    scored("d", "fake", 0.4, 0.4, 0.4, method="lips"),
    scored("e", "fake", method="lips"),
]


def test_figures_of_known_scores_are_exact() -> None:
    figures = judge(SCORES, rounds=50)
    clips, pairs = figures["clips"], figures["pairs"]
    assert clips["auc"]["value"] == 0.75
    assert clips["accuracy"]["value"] == 0.5
    assert clips["soft_accuracy"]["value"] == pytest.approx(100 * (0.8 + 0.8 + 0.4 + 0.4) / 4)
    assert pairs["auc"]["value"] == (2 * 3 + 3 * 2) / 15
    assert pairs["accuracy"]["value"] == 4 / 8
    assert figures["by_class"]["fake"] | {"accuracy": 0} == {
        "clips": 2,
        "accuracy": 0,
        "mean_p_fake": pytest.approx(0.6),
    }
    assert figures["by_class"]["real"]["accuracy"]["value"] == 0.5
    assert {k: v["auc"]["value"] for k, v in figures["by_method"].items()} == {"swap": 1.0, "lips": 0.5}
    assert (figures["paired"]["couples"], figures["paired"]["auc"]["value"], figures["paired"]["right_order"]) == (
        1,
        1.0,
        1.0,
    )
    assert figures["counts"] == {"clips": 4, "fake": 2, "real": 2, "pairs": 8, "people": 3, "unscored": 1}
    assert figures["unscored"] == [{"clip": "e", "reason": "no face"}]
    assert figures["scores"][0] == {
        "clip": "a",
        "label": "real",
        "method": "",
        "p_fake": pytest.approx(0.2),
        "pairs": 2,
    }


def test_intervals_hold_the_figure_and_repeat_themselves() -> None:
    first, again = judge(SCORES, rounds=200), judge(SCORES, rounds=200)
    assert plain(first) == plain(again)
    auc = first["clips"]["auc"]
    assert auc["low"] <= auc["value"] <= auc["high"]


def test_without_couples_there_is_no_paired_figure() -> None:
    assert judge([s for s in SCORES if not s.clip.pair], rounds=5)["paired"] is None


@pytest.mark.parametrize("left", [[], [SCORES[4]], SCORES[::2]])
def test_what_cannot_be_judged_is_one_clear_error(left: list[ClipScores]) -> None:
    with pytest.raises(DataError, match=r"no clip could be scored|holds no"):
        judge([s for s in left if not s.clip.fake or not len(s.p_fake)])


def test_figures_become_json_with_null_for_what_cannot_be_told(tmp_path: Path) -> None:
    figures = report(Path("m.onnx"), Path("dev.csv"), RGB, judge(SCORES, rounds=5))
    figures["clips"]["auc"]["low"] = float("nan")
    write_json(figures, tmp_path / "new" / "figures.json")
    back = json.loads((tmp_path / "new" / "figures.json").read_text())
    assert (back["model"], back["input"], back["clips"]["auc"]["low"]) == ("m.onnx", "rgb", None)
    with pytest.raises(OutputError, match="cannot be written"):
        write_json(figures, tmp_path / "new" / "figures.json" / "below.json")


def test_the_table_tells_both_classes_and_the_paired_clips() -> None:
    told = {row[0]: row[1:] for row in lines(judge(SCORES, rounds=5))}
    assert told["AUC, by clip"][0].startswith("0.750 (")
    assert told["accuracy, original"] == (told["accuracy, original"][0], 2)
    assert told["AUC, paired clips alone"][1] == 2
    assert "AUC, swap against all real" in told


def test_an_exported_model_is_scored_as_check_scores_it(tmp_path: Path) -> None:
    video = portrait_video(tmp_path / "a.mp4", frames=20)
    model = Model(tiny_model(tmp_path / "m.onnx", RGB), "cpu")
    clip = Clip("a.mp4", video, "real")
    for rate_hz in (10.0, None):
        (told,) = score_clips([clip], model, Looking(rate_hz=rate_hz))
        checked = check_file(video, model, rate_hz=rate_hz)
        assert len(told.p_fake) == checked.pairs > 2
        assert told.mean == pytest.approx(checked.p_fake)
        assert 40 < told.face_px < 200


def test_a_bad_clip_says_why_and_the_others_are_scored(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    good = Clip("good.mp4", portrait_video(tmp_path / "good.mp4"), "real")
    model = Model(tiny_model(tmp_path / "m.onnx", RGB), "cpu")
    bad, told = score_clips([Clip("bad.mp4", tmp_path / "bad.mp4", "fake"), good], model, Looking(pairs=3))
    assert "not a video" in bad.reason
    assert len(told.p_fake) == 3


def test_a_missing_face_model_is_one_error_and_not_one_for_each_clip(tmp_path: Path) -> None:
    model = Model(tiny_model(tmp_path / "m.onnx", RGB), "cpu")
    with pytest.raises(ModelError, match="no face model"):
        score_clips([Clip("a", Path("a"), "real")], model, Looking(face_model=tmp_path / "none.onnx"))


def test_a_checkpoint_and_a_store_are_judged_alike(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build(RGB).eval()
    state = {"model": network.state_dict(), "arch": "resnet18", "contract": RGB.to_json()}
    torch.save(state, tmp_path / "net.pt")
    scorer, store = open_scorer(tmp_path / "net.pt", "cpu"), small_store(tmp_path / "store", clips=4, pairs=2)
    seen: list[tuple[str, int]] = []
    told = gather(scorer, store, on_clip=lambda clip, total: seen.append((clip.name, total)))
    assert seen == [(f"{i}.mp4", 4) for i in range(4)]
    first = open_store(store).clips[0].pair(0)
    with torch.no_grad():
        p = torch.softmax(network(torch.from_numpy(first.second[None, ..., ::-1].copy())), 1)[0, 0]
    assert told[0].p_fake[0] == pytest.approx(float(p), abs=1e-6)
    assert judge(told, rounds=5)["counts"]["pairs"] == 8


def test_a_store_of_another_contract_is_refused(tmp_path: Path) -> None:
    model = Model(tiny_model(tmp_path / "m.onnx", replace(RGB, margin=0.5)), "cpu")
    store = small_store(tmp_path / "store", SMALL, clips=2)
    with pytest.raises(DataError, match="another contract"):
        gather(model, store)
    assert score_stored(open_store(store).clips, model)[0].mean > 0
