import math
from pathlib import Path

import numpy as np
import pytest

from stream.contract import Thresholds
from stream.records import State
from train.manifest import Clip
from train.metrics import ClipScores
from train.report import figures
from train.report.figures import Judged, Sampling
from train.report.scoring import Look

THRESHOLDS = Thresholds(0.6, 0.5, 0.3, 0.4)
FEW = Sampling(rounds=50)


def scores(name: str, p_fake: float, label: str = "real", method: str = "", pair: str = "", n: int = 2) -> ClipScores:
    clip = Clip(name, Path(name), "fake" if label == "fake" else "real", method, (pair or name,), pair)
    return ClipScores(clip, np.arange(n) / 10, np.full(n, p_fake))


CLIPS = (
    scores("r1", 0.1, pair="a"),
    scores("r2", 0.2, pair="b"),
    scores("r3", 0.7),
    scores("f1", 0.8, "fake", "deepfacelive(dfm)", "a"),
    scores("f2", 0.15, "fake", "deepfacelive(dfm)", "b"),
    scores("f3", 0.9, "fake", "wav2lip_288"),
)


def found(clips: tuple[ClipScores, ...] = CLIPS) -> Judged:
    fake = np.array([s.clip.fake for s in clips])
    return Judged(clips, np.array([s.mean for s in clips]), fake, np.arange(len(clips)) % 3, np.where(fake, 0.6, 0.4))


def test_overall_figures_stand_beside_those_of_metadata() -> None:
    told = figures.overall(found(), FEW)
    assert told["clip"]["auc"]["value"] == pytest.approx(7 / 9)
    assert told["pair"]["auc"]["value"] == pytest.approx(7 / 9)
    assert told["metadata"]["auc"]["value"] == 1.0
    assert told["clip"]["auc"]["low"] <= 7 / 9 <= told["clip"]["auc"]["high"]
    assert set(told["clip"]) == {"auc", "eer", "ap", "ece"}


def test_methods_and_groups_are_told_against_all_reals() -> None:
    methods = figures.by_method(found(), FEW, THRESHOLDS)
    assert {n: f["clip"]["value"] for n, f in methods.items()} == {
        "deepfacelive(dfm)": pytest.approx(4 / 6),
        "wav2lip_288": 1.0,
    }
    groups = figures.by_group(found(), FEW, THRESHOLDS)
    assert set(groups) == {"live swap", "lip sync"}
    assert groups["live swap"]["found"] == 0.5
    assert (groups["live swap"]["fakes"], groups["live swap"]["reals"]) == (2, 3)


def test_paired_clips_are_told_alone_with_their_order() -> None:
    told = figures.paired(found(), FEW, THRESHOLDS)
    assert told is not None
    assert (told["couples"], told["fakes"], told["reals"]) == (2, 2, 2)
    assert told["wins"]["value"] == 0.5  # 0.8 above 0.1, but 0.15 below 0.2
    assert told["clip"]["value"] == pytest.approx(3 / 4)


def test_nothing_is_told_of_couples_where_there_are_none() -> None:
    assert figures.paired(found((CLIPS[0], CLIPS[2], CLIPS[5])), FEW, THRESHOLDS) is None


def test_clips_are_called_by_the_contract_and_unscored_ones_are_unsure() -> None:
    nothing = ClipScores(Clip("r4", Path("r4"), "real"), np.zeros(0), np.zeros(0), reason="no face was found")
    assert figures.calls([*CLIPS, nothing], THRESHOLDS) == {
        "real": {"REAL": 2, "UNSURE": 1, "FAKE": 1},
        "fake": {"REAL": 1, "UNSURE": 0, "FAKE": 2},
    }
    assert figures.called([nothing], State.FAKE, THRESHOLDS).tolist() == [False]


def test_the_threshold_table_gives_the_fakes_found_at_each_rate() -> None:
    table = {row["false_positives"]: row for row in figures.threshold_table(found(), FEW)}
    assert table[0.0]["found"]["value"] == pytest.approx(2 / 3)
    assert table[0.0]["threshold"] == pytest.approx(0.8)
    assert table[0.5]["found"]["value"] == pytest.approx(2 / 3)


def test_a_threshold_that_no_fake_reaches_is_not_told() -> None:
    clips = (scores("r", 0.9), scores("f", 0.1, "fake"))
    assert math.isnan(figures.threshold_table(found(clips), FEW)[0]["threshold"])


def test_a_change_of_reals_costs_auc_and_false_positives() -> None:
    changed = [Look("x", scores("r1", 0.85, pair="a")), Look("x", scores("r2", 0.2, pair="b"))]
    told = figures.change(found(), changed, FEW, THRESHOLDS)
    assert told["auc"]["value"] == pytest.approx(5 / 9)
    assert told["auc_change"]["value"] == pytest.approx(-2 / 9)
    assert told["false_positives"] == pytest.approx(2 / 3)
    assert told["false_positives_change"] == pytest.approx(1 / 3)
    assert told["shift"] == pytest.approx(0.25)
    assert told["lost"] == 0


def test_a_change_that_changes_nothing_costs_nothing_for_certain() -> None:
    told = figures.change(found(), [Look("x", s) for s in CLIPS], FEW, THRESHOLDS)
    assert told["auc_change"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert told["shift"] == 0.0


def test_a_clip_whose_face_is_lost_is_counted_and_compared_nowhere() -> None:
    nothing = ClipScores(CLIPS[2].clip, np.zeros(0), np.zeros(0), reason="no face was found")
    told = figures.change(found(), [Look("x", nothing)], FEW, THRESHOLDS)
    assert told["lost"] == 1
    assert told["auc"]["value"] == pytest.approx(5 / 6)
    assert told["auc_change"]["value"] == 0.0
    assert told["false_positives"] == 0.0
