from pathlib import Path

import numpy as np
import pytest

from stream.errors import SourceNotFound
from tests.trainset import portrait_video
from train.metrics import auc
from train.report.shortcuts import Metadata, metadata, metadata_scores


def test_metadata_are_read_from_the_clip(tmp_path: Path) -> None:
    sharp = metadata(portrait_video(tmp_path / "a.mp4", 8))
    smooth = metadata(portrait_video(tmp_path / "b.mp4", 8, fake=True))
    assert (sharp.width, sharp.height) == (288, 240)
    assert sharp.rate_hz == pytest.approx(25, rel=0.01)
    bits = 8 * (tmp_path / "a.mp4").stat().st_size
    assert sharp.bits_per_pixel == pytest.approx(bits / (8 * 288 * 240))
    assert smooth.sharpness < sharp.sharpness


def test_metadata_of_a_missing_clip_is_our_error(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound):
        metadata(tmp_path / "none.mp4")


def rows(fake: np.ndarray, cue: float) -> list[Metadata]:
    rng = np.random.default_rng(0)
    return [Metadata(256, 256, 25 + cue * f, float(rng.normal(100, 10)), 0.1) for f in fake]


def test_a_cue_that_gives_the_label_away_is_found_on_people_not_seen() -> None:
    fake = np.array([i % 2 == 1 for i in range(24)])
    assert auc(metadata_scores(rows(fake, 5.0), fake, np.arange(24) // 2), fake) == 1.0


def test_people_that_are_known_do_not_help_to_tell_them_again() -> None:
    # Each person has a size of his own: whoever has seen the person knows the label, nobody else does.
    fake = np.repeat([i % 2 == 1 for i in range(16)], 4)
    group = np.repeat(np.arange(16), 4)
    order = np.random.default_rng(3).permutation(16)
    people = [Metadata(200 + 10 * int(order[g]), 256, 25.0, 100.0, 0.1) for g in group]
    assert auc(metadata_scores(people, fake, group), fake) < 0.75


def test_too_few_people_give_no_baseline() -> None:
    fake = np.array([False, True, False])
    assert np.isnan(metadata_scores(rows(fake, 5.0), fake, np.array([0, 1, 2]))).all()
