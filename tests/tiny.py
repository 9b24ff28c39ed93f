"""Small stand-ins that the tests make for themselves: an ONNX model with known answers, clips with known faces."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from stream.contract import KEY, Contract


def tiny_model(path: Path, contract: Contract, metadata: str | None = None) -> Path:
    """An ONNX file whose P(fake) is the mean of the image's bytes / 255; ``metadata`` replaces the contract's JSON."""
    image = helper.make_tensor_value_info(
        "image", TensorProto.UINT8, ["n", contract.size, contract.size, contract.channels]
    )
    out = helper.make_tensor_value_info("p_fake", TensorProto.FLOAT, ["n"])
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "top"], ["p_fake"]),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3]),
        helper.make_tensor("top", TensorProto.FLOAT, [], [255.0]),
    ]
    graph = helper.make_graph(nodes, "tiny", [image], [out], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {KEY: contract.to_json() if metadata is None else metadata})
    onnx.save(model, str(path))
    return path
