"""One model in other precisions: the same contract, bytes in, nearly the same P(fake) out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.precision import LEAST_IMAGES, Precision, convert
from stream.contract import KEY, Contract
from stream.errors import ContractError, DataError, ModelError
from stream.model import Model

CONTRACT = Contract(size=16, trained_on="noise")


def _network(path: Path) -> Path:
    """A convolution of 64 channels and a head, with the input and output of every exported model."""
    rng = np.random.default_rng(0)
    weights = {
        "scale": np.array(1 / 255, np.float32),
        "w": rng.normal(0, 0.3, (64, 3, 3, 3)).astype(np.float32),
        "w2": rng.normal(0, 0.1, (64, 64, 3, 3)).astype(np.float32),
        "head": rng.normal(0, 0.5, (64, 1)).astype(np.float32),
        "axes": np.array([2, 3], np.int64),
        "flat": np.array([-1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["f", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["x"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Conv", ["r", "w2"], ["c2"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("ReduceMean", ["r2", "axes"], ["m"], keepdims=0),
        helper.make_node("MatMul", ["m", "head"], ["z"]),
        helper.make_node("Reshape", ["z", "flat"], ["z1"]),
        helper.make_node("Sigmoid", ["z1"], ["p_fake"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 16, 16, 3])],
        [helper.make_tensor_value_info("p_fake", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {KEY: CONTRACT.to_json()})
    onnx.save(model, str(path))
    return path


def _images(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3), np.uint8)


@pytest.mark.parametrize(
    ("precision", "share", "error"), [("fp32", 1.0, 0.0), ("fp16", 0.6, 2e-3), ("int8", 0.5, 0.03)]
)
def test_each_precision_keeps_contract_and_scores_and_saves_room(
    tmp_path: Path, precision: Precision, share: float, error: float
) -> None:
    source = _network(tmp_path / "fp32.onnx")
    out = convert(source, tmp_path / "out.onnx", precision, _images(40))
    before, after = Model(source, "cpu"), Model(out, "cpu")
    images = list(_images(16, seed=1))
    assert after.contract == before.contract == CONTRACT
    assert np.abs(after(images) - before(images)).max() <= error
    assert out.stat().st_size <= share * source.stat().st_size + 200


def test_int8_quantises_the_convolutions_per_channel_with_seven_bits(tmp_path: Path) -> None:
    out = convert(_network(tmp_path / "fp32.onnx"), tmp_path / "int8.onnx", "int8", _images(40))
    weights = {i.name: numpy_helper.to_array(i) for i in onnx.load(str(out)).graph.initializer}
    quantised = [v for v in weights.values() if v.dtype == np.int8 and v.ndim == 4]
    assert len(quantised) == 2 and max(np.abs(v.astype(int)).max() for v in quantised) <= 64
    assert any(v.shape == (64,) and v.dtype == np.float32 for n, v in weights.items() if "scale" in n)


def test_the_same_pictures_give_the_same_int8_file(tmp_path: Path) -> None:
    source = _network(tmp_path / "fp32.onnx")
    one, two = (convert(source, tmp_path / f"{k}.onnx", "int8", _images(40)) for k in "ab")
    assert one.read_bytes() == two.read_bytes()


def test_int8_without_enough_pictures_is_refused(tmp_path: Path) -> None:
    source = _network(tmp_path / "fp32.onnx")
    for images in (None, _images(LEAST_IMAGES - 1)):
        with pytest.raises(DataError, match="at least 32 fused pictures"):
            convert(source, tmp_path / "out.onnx", "int8", images)
    assert not (tmp_path / "out.onnx").exists()


def test_pictures_against_the_contract_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the model takes uint8"):
        convert(_network(tmp_path / "m.onnx"), tmp_path / "out.onnx", "int8", np.zeros((40, 8, 8, 3), np.uint8))


def test_what_is_no_exported_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model at"):
        convert(tmp_path / "none.onnx", tmp_path / "out.onnx", "fp16")
    (tmp_path / "bad.onnx").write_bytes(b"not a network")
    with pytest.raises(ModelError, match="not an ONNX model"):
        convert(tmp_path / "bad.onnx", tmp_path / "out.onnx", "fp16")
    bare = onnx.load(str(_network(tmp_path / "m.onnx")))
    del bare.metadata_props[:]
    onnx.save(bare, str(tmp_path / "bare.onnx"))
    with pytest.raises(ContractError, match="no flowtell contract"):
        convert(tmp_path / "bare.onnx", tmp_path / "out.onnx", "fp16")
