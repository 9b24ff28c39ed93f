"""The bundled model: the same inputs give the same answers, and its file says what it is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from stream.check import check_file
from stream.contract import Contract
from stream.demo import CLIP
from stream.fusion import fuse
from stream.model import BUNDLED, Model
from stream.records import Box, Pair

# Integer kernels differ a little between CPUs with and without VNNI.
TOLERANCE = 0.02


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(device="cpu")


def portrait(contract: Contract, shift: int, patch: str) -> Pair:
    """The portrait, moved by ``shift`` pixels between frames, its face covered by noise, made smooth, or neither."""
    crops = []
    for k in (0, shift):
        crop = np.ascontiguousarray(astronaut()[15 : 15 + contract.size, 165 + k : 165 + k + contract.size, ::-1])
        if patch == "noise":
            crop[30:80, 30:80] = np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)
        elif patch == "smooth":
            crop[20:90, 25:85] = cv2.GaussianBlur(crop, (0, 0), 2)[20:90, 25:85]
        crops.append(crop)
    return Pair(1, 0.04, 0.04, crops[0], crops[1], Box(0, 0, 93, 93), 93.0)


@pytest.mark.parametrize(
    ("shift", "patch", "expected"),
    [(0, "", 0.061), (1, "", 0.035), (3, "noise", 0.237), (1, "smooth", 0.731), (3, "smooth", 0.765)],
)
def test_fixed_inputs_give_fixed_outputs(model: Model, shift: int, patch: str, expected: float) -> None:
    image = fuse(portrait(model.contract, shift, patch), model.contract)
    assert float(model([image])[0]) == pytest.approx(expected, abs=TOLERANCE)


def test_the_file_is_small_enough_to_ship_and_says_what_it_was_trained_on() -> None:
    assert BUNDLED.stat().st_size <= 25_000_000
    contract = Model(device="cpu").contract
    assert (contract.input, contract.size) == ("stack", 112)
    assert contract.trained_on
    assert len(contract.commit) >= 40
    assert contract.scores


def test_the_demo_clip_is_scored_over_its_whole_length(model: Model) -> None:
    verdict = check_file(CLIP, model)
    assert verdict.pairs >= 100
    assert verdict.p_fake == pytest.approx(0.465, abs=TOLERANCE)
