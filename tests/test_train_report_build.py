"""A whole report over four small videos, looked at from all sides; and the scoring that it rests on."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from stream.check import check_file
from stream.contract import Contract, Thresholds
from stream.errors import DataError, OutputError
from tests.tiny import tiny_model
from tests.trainset import portrait_video
from train.manifest import Clip, write_manifest
from train.report import Options, Sampling, Setting, write_report
from train.report.changes import BENIGN, ROBUSTNESS
from train.report.meaning import meanings
from train.report.scoring import BACKGROUND, PLAIN, RESAMPLED, look, look_at_all

CONTRACT = Contract(input="rgb", size=32, min_pairs=2, thresholds=Thresholds(0.6, 0.5, 0.3, 0.4))
FEW = Sampling(rounds=20)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return Setting(tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx", CONTRACT), device="cpu", rate_hz=None)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    folder = tmp_path_factory.mktemp("clips")
    made = []
    for i in range(4):
        fake, couple = i % 2 == 1, f"v{i // 2}"
        path = portrait_video(folder / f"{i}.mp4", 10 + i, fake)
        made.append(Clip(path.name, path, "fake" if fake else "real", "wav2lip" if fake else "", (couple,), couple))
    return made


@pytest.fixture(scope="module")
def manifest(clips: list[Clip], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("manifest") / "clips.csv"
    write_manifest(clips, file)
    return file


@pytest.fixture(scope="module")
def folder(setting: Setting, manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    write_report(setting, manifest, out, Options(sampling=FEW), Console(quiet=True))
    return out


@pytest.fixture(scope="module")
def value(folder: Path) -> dict[str, Any]:
    told = json.loads((folder / "report.json").read_text())
    assert isinstance(told, dict)
    return told


def test_a_clip_scores_as_check_scores_it(clips: list[Clip], setting: Setting) -> None:
    (told,) = look(clips[0], (PLAIN,), setting)
    checked = check_file(clips[0].path, setting.open(), rate_hz=None)
    assert told.scores.mean == pytest.approx(checked.p_fake)
    assert len(told.scores.p_fake) == checked.pairs


def test_a_covered_face_is_scored_at_the_same_moments_and_otherwise(clips: list[Clip], setting: Setting) -> None:
    plain, covered = look(clips[0], (PLAIN, BACKGROUND), setting)
    assert np.array_equal(covered.scores.times_s, plain.scores.times_s)
    assert abs(covered.scores.p_fake - plain.scores.p_fake).min() > 0.01


def test_a_clip_that_cannot_be_read_says_so_and_stops_nothing(tmp_path: Path, setting: Setting) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    (told,) = look(Clip("bad.mp4", tmp_path / "bad.mp4", "real"), (PLAIN,), setting)
    assert not len(told.scores.p_fake)
    assert "bad.mp4" in told.scores.reason


def test_processes_score_as_one_does(clips: list[Clip], setting: Setting) -> None:
    tasks = [(clip, (PLAIN,)) for clip in clips[:2]]
    alone, together = look_at_all(tasks, setting), look_at_all(tasks, setting, workers=2)
    assert [a.scores.clip.name for a in together] == ["0.mp4", "1.mp4"]
    assert all(np.array_equal(a.scores.p_fake, b.scores.p_fake) for a, b in zip(alone, together, strict=True))
    assert [a.alarms for a in alone] == [a.alarms for a in together]


def test_the_report_holds_every_section(value: dict[str, Any]) -> None:
    assert value["clips"] == {"real": 2, "fake": 2, "people": 2, "not_scored": {}}
    assert set(value["overall"]) == {"clip", "pair", "metadata", "reliability"}
    assert set(value["robustness"]) == set(ROBUSTNESS)
    assert set(value["benign"]) == set(BENIGN)
    assert set(value["shortcuts"]) == {BACKGROUND, RESAMPLED}
    assert set(value["groups"]) == {"lip sync"}
    assert value["paired"]["couples"] == 2
    assert len(value["scores"]) == 4
    assert sum(value["calls"]["real"].values()) == 2
    assert value["alarms"]["real_face_hours"] > 0


def test_a_mirrored_face_costs_a_model_of_brightness_next_to_nothing(value: dict[str, Any]) -> None:
    assert abs(value["benign"]["mirror"]["shift"]) < 0.03
    assert value["benign"]["low light"]["shift"] < -0.1


def test_the_page_needs_nothing_beside_it(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    assert page.count("<svg") == 6
    assert not re.search(r"<(script|link|img)|src=|@import", page)
    for words in ("metadata alone", "false alarms an hour", "H.264 crf 32", "beauty filter", "face covered"):
        assert words in page


def test_names_are_escaped_in_the_page(setting: Setting, clips: list[Clip], tmp_path: Path) -> None:
    manifest = tmp_path / "a & b.csv"
    write_manifest([replace(c, method="<b>" if c.fake else "") for c in clips[:2]], manifest)
    told = write_report(setting, manifest, tmp_path / "out", Options(quick=True, sampling=FEW), Console(quiet=True))
    page = (tmp_path / "out" / "report.html").read_text()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "a &amp; b.csv" in page
    assert "robustness" not in told


def test_the_same_seed_gives_the_same_page(setting: Setting, manifest: Path, tmp_path: Path) -> None:
    pages = []
    for name in ("one", "two"):
        write_report(setting, manifest, tmp_path / name, Options(quick=True, sampling=FEW), Console(quiet=True))
        pages.append(re.sub(r"Made in \d+ s", "", (tmp_path / name / "report.html").read_text()))
    assert pages[0] == pages[1]


def test_clips_without_a_face_of_one_class_are_an_error(tmp_path: Path, setting: Setting, clips: list[Clip]) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    manifest = tmp_path / "clips.csv"
    write_manifest([clips[1], Clip("bad.mp4", tmp_path / "bad.mp4", "real")], manifest)
    with pytest.raises(DataError, match="both real and fake"):
        write_report(setting, manifest, tmp_path / "out", Options(quick=True, sampling=FEW), Console(quiet=True))


def test_a_folder_that_cannot_be_made_is_said_before_any_work(tmp_path: Path, setting: Setting, manifest: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        write_report(setting, manifest, tmp_path / "file", Options(quick=True), Console(quiet=True))


def meaning_of(auc: float, metadata: float, background: float, rise: float, cost: float) -> dict[str, list[str]]:
    def told(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 0.04, "high": value + 0.04}

    change = {"auc_change": told(-cost), "false_positives_change": rise, "shift": rise, "auc": told(background)}
    return meanings(
        {
            "overall": {"clip": {"auc": told(auc)}, "metadata": {"auc": told(metadata)}},
            "alarms": {"real_face_hours": 0.5},
            "robustness": {"blur": change},
            "benign": {"mirror": change},
            "shortcuts": {BACKGROUND: change, RESAMPLED: change},
        }
    )


def test_the_report_says_what_its_figures_mean() -> None:
    weak, strong = meaning_of(0.7, 0.69, 0.6, 0.3, 0.1), meaning_of(0.95, 0.6, 0.51, 0.0, 0.0)
    covered, costly = meaning_of(0.7, 0.69, 0.51, 0.6, 0.0), meaning_of(0.95, 0.6, 0.51, 0.0, 0.1)
    assert "does not lie above it" in weak["overall"][0]
    assert "tell it more" in strong["overall"][0]
    assert "50 % of the model's lead" in weak["shortcuts"][1]
    assert "comes from the face" in strong["shortcuts"][1]
    assert "the cover itself is taken for forgery" in covered["shortcuts"][1]
    assert "no alarm, but 0.100 of AUC" in costly["shortcuts"][2]
    assert "takes the traces of resampling for forgery" in weak["shortcuts"][2]
    assert "not what the model goes by" in strong["shortcuts"][2]
    assert weak["benign"] == ["More than 2 points of false positives are cost by: mirror (+30.0)."]
    assert strong["benign"] == ["No harmless change costs more than 2 points of false positives."]
    assert "counts as 2.0 an hour" in weak["alarms"][0]
    assert "6 an hour" in weak["alarms"][0]


def test_a_baseline_that_cannot_be_told_is_said() -> None:
    assert "too few people" in meaning_of(0.7, math.nan, 0.6, 0.0, 0.0)["overall"][0]
