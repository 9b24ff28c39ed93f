"""Flow by the contract: known motion is found, options are checked, a learned network is the file that was meant."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from stream.contract import Contract
from stream.errors import ContractError, ModelError
from stream.flows import KEY, LearnedFlow, dis, farneback, flow_function, pin_flow
from stream.records import Image


def moved_pictures(dx: float, dy: float, size: int = 64) -> tuple[Image, Image]:
    """A smooth random picture, and the same moved by (dx, dy) pixels."""
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3)).astype(np.uint8)
    first = np.asarray(
        cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), np.empty(0), 0, 255, cv2.NORM_MINMAX), np.uint8
    )
    shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return first, np.asarray(cv2.warpAffine(first, shift, (size, size), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def constant_flow_net(path: Path, size: int, about: dict[str, object] | None = None) -> Path:
    """A flow network that finds (1.5, -0.5) everywhere."""
    shape = [1, size, size, 3]
    inputs = [helper.make_tensor_value_info(name, TensorProto.UINT8, shape) for name in ("first", "second")]
    output = helper.make_tensor_value_info("flow", TensorProto.FLOAT, [1, size, size, 2])
    flow = np.broadcast_to(np.array([1.5, -0.5], np.float32), (1, size, size, 2)).copy()
    value = helper.make_tensor("value", TensorProto.FLOAT, flow.shape, flow.tobytes(), raw=True)
    graph = helper.make_graph([helper.make_node("Constant", [], ["flow"], value=value)], "flow", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    said = {"version": 1, "method": "pwcnet", "size": size} if about is None else about
    helper.set_model_props(model, {KEY: json.dumps(said)})
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize("method", ["farneback", "dis"])
def test_known_motion_is_found_from_the_first_crop_to_the_second(method: str) -> None:
    options: dict[str, object] = {} if method == "dis" else Contract().flow_options
    flow = flow_function(Contract(flow_method=method, flow_options=options))(*moved_pictures(2.0, -1.0))  # type: ignore[arg-type]
    assert flow.shape == (64, 64, 2) and flow.dtype == np.float32
    np.testing.assert_allclose(np.median(flow[8:-8, 8:-8], axis=(0, 1)), (2.0, -1.0), atol=0.1)


def test_the_contracts_default_is_farneback_with_the_notebooks_parameters() -> None:
    pictures = moved_pictures(1.0, 0.5)
    np.testing.assert_array_equal(flow_function(Contract())(*pictures), farneback(*pictures))


def test_dis_takes_a_preset() -> None:
    pictures = moved_pictures(1.0, 0.5)
    found = flow_function(Contract(flow_method="dis", flow_options={"preset": "medium"}))(*pictures)
    np.testing.assert_array_equal(found, dis(*pictures, preset="medium"))


@pytest.mark.parametrize(
    ("method", "options", "says"),
    [
        ("farneback", {"speed": 3}, "unknown options speed"),
        ("farneback", {"poly_n": "five"}, "cannot be meant"),
        ("dis", {"preset": "slow"}, "one of ultrafast, fast, medium"),
        ("dis", {"levels": 3}, "takes preset"),
        ("pwcnet", {"file": "flow.onnx"}, "file and sha256"),
    ],
)
def test_options_that_a_method_does_not_have_are_refused(method: str, options: dict[str, object], says: str) -> None:
    contract = Contract(flow_method=method, flow_options=options)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match=says):
        flow_function(contract)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ContractError, match="unknown flow method 'raft'"):
        Contract(flow_method="raft")  # type: ignore[arg-type]


def test_a_learned_flow_lies_beside_the_model_and_is_known_by_its_hash(tmp_path: Path) -> None:
    file = constant_flow_net(tmp_path / "flow.onnx", 32)
    bare = Contract(flow_method="pwcnet", flow_options={"file": "flow.onnx"})
    contract = pin_flow(bare, tmp_path)
    assert contract.flow_options["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    flow = flow_function(contract, tmp_path)(*moved_pictures(0, 0, 32))
    np.testing.assert_array_equal(flow, np.broadcast_to(np.float32([1.5, -0.5]), (32, 32, 2)))
    with pytest.raises(ModelError, match="SHA-256 differs"):
        flow_function(replace(contract, flow_options={"file": "flow.onnx", "sha256": "0" * 64}), tmp_path)
    with pytest.raises(ContractError, match="a file of its own"):
        flow_function(contract)


def test_crops_of_another_size_are_scaled_to_the_networks_and_the_flow_back(tmp_path: Path) -> None:
    flow = LearnedFlow(constant_flow_net(tmp_path / "flow.onnx", 32))(*moved_pictures(0, 0, 64))
    np.testing.assert_allclose(flow, np.broadcast_to(np.float32([3.0, -1.0]), (64, 64, 2)))


def test_a_path_in_a_contract_reads_nothing_outside_the_models_folder(tmp_path: Path) -> None:
    constant_flow_net(tmp_path / "flow.onnx", 32)
    (tmp_path / "models").mkdir()
    options = {"file": str(tmp_path / "flow.onnx"), "sha256": "0" * 64}
    with pytest.raises(ModelError, match="no flow network at"):
        flow_function(Contract(flow_method="pwcnet", flow_options=options), tmp_path / "models")


def test_what_is_no_flow_network_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="not an ONNX model"):
        LearnedFlow(tmp_path / "a.onnx")
    with pytest.raises(ModelError, match="not a flow network"):
        LearnedFlow(constant_flow_net(tmp_path / "b.onnx", 32, {}))
