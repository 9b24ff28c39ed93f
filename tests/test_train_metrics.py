"""Metrics: exact values by hand, and scikit-learn's where it defines the same figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from train.manifest import Clip
from train.metrics import (
    ClipScores,
    accuracy,
    auc,
    average_precision,
    bootstrap,
    calibration_error,
    detection_at,
    eer,
    groups,
    reliability,
    roc,
    soft_accuracy,
)

P = np.array([0.9, 0.8, 0.8, 0.3, 0.1])
FAKE = np.array([True, True, False, True, False])


def clip(name: str, *identities: str, pair: str = "") -> Clip:
    return Clip(name, Path(name), "real", "", identities, pair)


def test_auc_counts_ties_as_half() -> None:
    assert auc(P, FAKE) == (1 + 1 + 0.5 + 1 + 0 + 1) / 6


def test_figures_that_need_both_classes_are_nan_without() -> None:
    for metric in (auc, eer):
        assert np.isnan(metric(P, np.ones(5, bool)))
        assert np.isnan(metric(P, np.zeros(5, bool)))
    assert np.isnan(average_precision(P, np.zeros(5, bool)))


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40))
def test_auc_and_average_precision_equal_scikit_learns(rows: list[tuple[int, bool]]) -> None:
    p, fake = np.array([r[0] / 6 for r in rows]), np.array([r[1] for r in rows])
    if fake.any() and not fake.all():
        assert auc(p, fake) == pytest.approx(roc_auc_score(fake, p), abs=1e-12)
        assert average_precision(p, fake) == pytest.approx(average_precision_score(fake, p), abs=1e-12)


def test_roc_runs_from_nothing_to_everything_called_fake() -> None:
    false, true, thresholds = roc(P, FAKE)
    assert false.tolist() == [0, 0, 0.5, 0.5, 1]
    assert true.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1, 1])
    assert thresholds.tolist() == [np.inf, 0.9, 0.8, 0.3, 0.1]


def test_eer_is_where_misses_equal_false_alarms() -> None:
    assert eer(np.array([0.9, 0.8, 0.2, 0.1]), np.array([True, True, False, False])) == 0
    assert eer(np.array([0.9, 0.8, 0.2, 0.1]), np.array([False, False, True, True])) == 1
    assert eer(np.array([0.9, 0.6, 0.4, 0.1]), np.array([True, False, True, False])) == 0.5
    # Between (0, 1/3) and (0.5, 2/3): 0.5 t = 2/3 - t/3.
    assert eer(P, FAKE) == pytest.approx(0.4)


def test_accuracy_counts_the_threshold_itself_as_fake() -> None:
    assert accuracy(P, FAKE) == 0.6
    assert accuracy(P, FAKE, 0.3) == 0.8


def test_soft_accuracy_is_the_mean_probability_of_the_true_class_in_percent() -> None:
    assert soft_accuracy(P, FAKE) == pytest.approx(100 * (0.9 + 0.8 + 0.2 + 0.3 + 0.9) / 5)


def test_detection_at_keeps_the_false_rate_and_takes_the_lowest_threshold_that_does() -> None:
    assert detection_at(P, FAKE, 0.02) == (pytest.approx(1 / 3), 0.9)
    assert detection_at(P, FAKE, 0.5) == (1.0, 0.3)


def test_reliability_and_its_error_are_exact() -> None:
    p, fake = np.array([0.1, 0.1, 0.9, 0.9]), np.array([False, True, True, True])
    said, true, counts = reliability(p, fake, bins=2)
    assert said.tolist() == pytest.approx([0.1, 0.9])
    assert true.tolist() == [0.5, 1.0]
    assert counts.tolist() == [2, 2]
    assert calibration_error(p, fake, bins=2) == pytest.approx(0.25)


def test_clips_of_one_person_or_pair_are_one_group_even_over_several_steps() -> None:
    clips = [clip("1", "ann"), clip("2", "bob"), clip("3", "ann", "cy"), clip("4", "dan", pair="v")]
    assert groups([*clips, clip("5", "cy", pair="v"), clip("6")]).tolist() == [0, 1, 0, 0, 0, 2]


def test_bootstrap_draws_whole_groups_and_repeats_itself() -> None:
    first, again = (bootstrap(auc, P, FAKE, np.array([0, 1, 2, 3, 4])) for _ in range(2))
    assert first == again
    assert first.value == auc(P, FAKE)
    assert first.low <= first.value <= first.high
    alone = bootstrap(auc, P, FAKE, np.zeros(5, np.int64))
    assert alone.low == alone.value == alone.high


def test_bootstrap_of_one_class_is_nan() -> None:
    assert np.isnan(bootstrap(auc, P, np.ones(5, bool), np.arange(5), rounds=5).low)


def test_a_clips_score_is_the_mean_of_its_pairs_and_nan_without_any() -> None:
    assert ClipScores(clip("1"), np.array([0.0, 0.1]), np.array([0.2, 0.4])).mean == pytest.approx(0.3)
    assert np.isnan(ClipScores(clip("1"), np.zeros(0), np.zeros(0), reason="no face").mean)
