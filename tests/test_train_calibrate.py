from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from stream.contract import KEY, Contract
from stream.errors import DataError, ModelError, UsageError
from stream.model import Model
from tests.chance import floats
from tests.tiny import tiny_model
from train.calibrate import (
    Calibration,
    calibrate,
    calibrated,
    choose_thresholds,
    fit_calibration,
    logit,
    read_graph,
    sigmoid,
    write_graph,
)
from train.manifest import Clip
from train.metrics import ClipScores, auc, calibration_error

CONTRACT = Contract(input="rgb", size=16)
SHARES = st.integers(0, 10_000).map(lambda n: n / 10_000)


def sigmoid_model(path: Path, contract: Contract = CONTRACT, kind: int = TensorProto.FLOAT) -> Path:
    """An ONNX file with P(fake) = sigmoid(2 x - 1), where x is the mean of the image's bytes / 255."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", contract.size, contract.size, 3])
    out = helper.make_tensor_value_info("p_fake", TensorProto.FLOAT, ["n"])
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "slope"], ["steep"]),
        helper.make_node("Sub", ["steep", "one"], ["raw"]),
        helper.make_node("Cast", ["raw"], ["logit"], to=kind),
        helper.make_node("Sigmoid", ["logit"], ["p"]),
        helper.make_node("Cast", ["p"], ["p_fake"], to=TensorProto.FLOAT),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3]),
        helper.make_tensor("slope", TensorProto.FLOAT, [], [2 / 255]),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
    ]
    graph = helper.make_graph(nodes, "sigmoid", [image], [out], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {KEY: contract.to_json()})
    onnx.save(model, str(path))
    return path


IMAGES = [np.full((16, 16, 3), level, np.uint8) for level in (0, 60, 128, 200, 255)]


def answers(file: Path) -> np.ndarray:
    return np.asarray(Model(file, "cpu")(IMAGES), float)


def scored(p_fake: Sequence[float], label: str, spread: float = 0.0) -> list[ClipScores]:
    rng = np.random.default_rng(0)
    return [
        ClipScores(
            Clip(f"{label}{i}", Path("x"), "fake" if label == "fake" else "real"),
            np.arange(4) / 10,
            sigmoid(logit(np.full(4, p)) + spread * rng.normal(size=4)),
        )
        for i, p in enumerate(p_fake)
    ]


@given(floats(-10, 10), floats(0.1, 10), floats(-5, 5), floats(0.1, 10), floats(-5, 5))
def test_two_calibrations_in_a_row_are_one(x: float, t0: float, b0: float, t1: float, b1: float) -> None:
    temperature, bias = Calibration(t1, b1).after(t0, b0)
    assert x / temperature + bias == pytest.approx((x / t0 + b0) / t1 + b1, abs=1e-9)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_the_graph_answers_as_the_calibration_says(tmp_path: Path, kind: int) -> None:
    file = sigmoid_model(tmp_path / "m.onnx", kind=kind)
    model, contract = calibrated(*read_graph(file), Calibration(2.5, -0.7))
    write_graph(model, contract, tmp_path / "c.onnx")
    accuracy = 1e-6 if kind == TensorProto.FLOAT else 2e-3
    assert answers(tmp_path / "c.onnx") == pytest.approx(Calibration(2.5, -0.7)(answers(file)), abs=accuracy)
    assert (contract.temperature, contract.bias) == (2.5, -0.7)
    onnx.checker.check_model(str(tmp_path / "c.onnx"))


def test_a_second_calibration_changes_the_first_and_adds_nothing(tmp_path: Path) -> None:
    once = calibrated(*read_graph(sigmoid_model(tmp_path / "m.onnx")), Calibration(2.0, 0.5))
    model, contract = calibrated(*once, Calibration(0.5, -1.0))
    write_graph(model, contract, tmp_path / "c.onnx")
    assert (contract.temperature, contract.bias) == (1.0, 0.0)
    assert answers(tmp_path / "c.onnx") == pytest.approx(answers(tmp_path / "m.onnx"), abs=1e-6)
    assert len(model.graph.node) == len(once[0].graph.node)


def test_a_graph_without_a_sigmoid_cannot_be_calibrated(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="sigmoid"):
        calibrated(*read_graph(tiny_model(tmp_path / "t.onnx", CONTRACT)), Calibration())


def test_what_is_no_model_of_ours_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"x\.onnx"):
        read_graph(tmp_path / "x.onnx")
    with pytest.raises(ModelError, match="missing"):
        read_graph(tmp_path / "missing.onnx")


def test_confidence_that_is_not_deserved_is_taken_back() -> None:
    # Nine of ten are told right, with P(fake) 0.999 or 0.001. Platt's targets for twenty are 21/22 and 1/22.
    clips = scored([0.999] * 18 + [0.001] * 2, "fake") + scored([0.001] * 18 + [0.999] * 2, "real")
    found = fit_calibration(clips)
    deserved = 0.9 * 21 / 22 + 0.1 * 1 / 22
    assert found(np.array([0.999, 0.001])) == pytest.approx([deserved, 1 - deserved], abs=1e-3)
    assert found.bias == pytest.approx(0, abs=1e-3)
    fake = np.array([s.clip.fake for s in clips])
    assert calibration_error(np.array([found(s.p_fake).mean() for s in clips]), fake) < 0.04


def test_classes_weigh_the_same_however_many_clips_they_have() -> None:
    fakes, reals = scored([0.9, 0.6, 0.3] * 30, "fake"), scored([0.7, 0.4, 0.1] * 30, "real")
    few, many = fit_calibration(fakes + reals), fit_calibration(fakes + reals * 10)
    assert many.bias == pytest.approx(few.bias, abs=0.05)
    assert many.temperature == pytest.approx(few.temperature, rel=0.05)


def test_clips_told_apart_without_a_mistake_ask_for_no_infinite_confidence() -> None:
    found = fit_calibration(scored([0.7, 0.8, 0.9], "fake") + scored([0.1, 0.2, 0.3], "real"))
    assert found(np.array([0.9]))[0] < 0.95


def test_one_class_alone_cannot_calibrate() -> None:
    with pytest.raises(DataError, match="both classes"):
        fit_calibration(scored([0.5], "real"))


def test_a_strong_model_gets_a_narrow_band() -> None:
    real, fake = sigmoid(np.linspace(-6, -4, 50)), sigmoid(np.linspace(4, 6, 50))
    told = choose_thresholds(real, fake)
    assert (told.fake_enter, told.fake_leave, told.real_leave, told.real_enter) == (0.5, 0.5, 0.5, 0.5)


def test_a_weak_model_gets_a_band_in_which_it_says_nothing() -> None:
    rng = np.random.default_rng(0)
    real, fake = sigmoid(rng.normal(-0.3, 1, 200)), sigmoid(rng.normal(0.3, 1, 200))
    told = choose_thresholds(real, fake)
    assert (real >= told.fake_enter).mean() <= 0.02
    assert (fake <= told.real_enter).mean() <= 0.05
    assert told.fake_enter > 0.8
    assert told.real_enter < 0.25
    assert told.fake_leave == pytest.approx(told.fake_enter - 0.1)


def test_twenty_clips_are_held_further_out_than_their_highest() -> None:
    real = sigmoid(np.linspace(-3, 0.5, 20))
    assert choose_thresholds(real, sigmoid(np.linspace(1, 5, 20))).fake_enter > real.max()


@given(
    st.lists(SHARES, min_size=1, max_size=30),
    st.lists(SHARES, min_size=1, max_size=30),
    SHARES.map(lambda share: share / 2),
)
def test_thresholds_hold_by_count_whatever_the_scores(real: list[float], fake: list[float], rate: float) -> None:
    told = choose_thresholds(np.array(real), np.array(fake), rate, rate)
    # A real that is certainly FAKE, 1.0, stays one: no threshold lies above it.
    assert sum(told.fake_enter <= p < 1 - 1e-3 for p in real) <= rate * len(real)
    assert sum(told.real_enter >= p > 1e-3 for p in fake) <= rate * len(fake)


@pytest.mark.parametrize("by_window", [False, True])
def test_a_model_is_calibrated_and_rests_on_what_its_new_file_says(tmp_path: Path, by_window: bool) -> None:
    levels = {"real": (20, 60, 90, 110, 130), "fake": (120, 150, 180, 220, 250)}

    def look(file: Path) -> tuple[list[ClipScores], list[tuple[float, float] | None]]:
        model, scores = Model(file, "cpu"), []
        for label, values in levels.items():
            for v in values:
                p = np.asarray(model([np.full((16, 16, 3), v + d, np.uint8) for d in (-4, 0, 4)]), float)
                clip = Clip(f"{label}{v}", Path("x"), "fake" if label == "fake" else "real")
                scores.append(ClipScores(clip, np.arange(3) / 10, p))
        return scores, [(float(s.p_fake.min()), float(s.p_fake.max())) for s in scores]

    out = tmp_path / "out" / "c.onnx"
    contract = calibrate(sigmoid_model(tmp_path / "m.onnx"), out, look, by_window=by_window)
    assert Model(out, "cpu").contract == contract
    assert contract.scores["calibrated_on"]["fake"] == 5
    scores, extremes = look(out)
    told = contract.scores["clip_auc"]["value"]
    assert told == 0.96  # one real above one fake, of 25 couples
    assert told == auc(np.array([x.mean for x in scores]), np.array([x.clip.fake for x in scores]))
    assert contract.scores["paired_auc"] is None
    highest = [e[1] if by_window and e else s.mean for s, e in zip(scores, extremes, strict=True) if not s.clip.fake]
    assert max(highest) < contract.thresholds.fake_enter
    assert contract.temperature < 1  # a slope of 2 over bytes in [0, 1] is far too timid


def test_an_impossible_rate_is_refused() -> None:
    with pytest.raises(UsageError, match=r"between 0 and 0\.5"):
        choose_thresholds(np.array([0.1]), np.array([0.9]), false_rate=2)
