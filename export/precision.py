"""One exported model in another precision: fp16 for CUDA, static QDQ int8 for CPUs; same input, output and contract.

int8 is quantised as Jacob et al., Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference (2018), by ONNX Runtime: unsigned activations, signed weights per channel.
Weights keep 7 bits, since CPUs without VNNI add up pairs of products in 16 bits: so every CPU gives one answer.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)
from onnxruntime.transformers.float16 import convert_float_to_float16

from stream.contract import Contract
from stream.errors import DataError
from train.calibrate import read_graph, write_graph

Precision = Literal["fp32", "fp16", "int8"]
LEAST_IMAGES = 32


def convert(onnx_path: Path, out: Path, precision: Precision, images: NDArray[np.uint8] | None = None) -> Path:
    """Write the float32 model at ``onnx_path`` to ``out`` in ``precision``, with its contract unchanged.

    images: (N, S, S, C) uint8 network inputs, made by ``stream.fusion.fuse`` from real clips of both classes;
    int8 is calibrated on them, the other precisions need none. N should be some hundreds.

    Raises:
        ModelError: ``onnx_path`` is missing or not ONNX. ContractError: it carries no contract.
        DataError: int8 without enough images of the contract's shape. OutputError: ``out`` cannot be written.
    """
    model, contract = read_graph(onnx_path)
    if precision == "fp16":
        # The bytes come in as they are and P(fake) leaves as float32, whatever is computed in between.
        model = convert_float_to_float16(model, keep_io_types=True)
    elif precision == "int8":
        model = _quantised(onnx_path, contract, _checked(images, contract))
    write_graph(model, contract, out)
    return out


class _Images(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime's own base class is untyped
    """Feeds the calibration one image at a time, as ONNX Runtime asks for it."""

    def __init__(self, name: str, images: NDArray[np.uint8]) -> None:
        self._feeds: Iterator[dict[str, NDArray[np.uint8]]] = iter({name: image[None]} for image in images)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        return next(self._feeds, None)


def _quantised(onnx_path: Path, contract: Contract, images: NDArray[np.uint8]) -> onnx.ModelProto:
    log = logging.getLogger()
    level = log.level
    log.setLevel(logging.ERROR)  # onnxruntime's quantiser advises on its own steps, which are taken here
    try:
        with tempfile.TemporaryDirectory() as folder:
            folded, done = Path(folder, "folded.onnx"), Path(folder, "int8.onnx")
            # The file's own batch size is symbolic and its shapes are known: the slow symbolic pass adds nothing.
            quant_pre_process(str(onnx_path), str(folded), skip_symbolic_shape=True)
            quantize_static(
                str(folded),
                str(done),
                _Images(onnx.load(str(folded)).graph.input[0].name, images),
                quant_format=QuantFormat.QDQ,
                # The head is small and decides: it stays in float32.
                op_types_to_quantize=["Conv", "Relu", "Add", "MaxPool"],
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )
            return onnx.load(str(done))
    finally:
        log.setLevel(level)


def _checked(images: NDArray[np.uint8] | None, contract: Contract) -> NDArray[np.uint8]:
    shape = (contract.size, contract.size, contract.channels)
    if images is None or len(images) < LEAST_IMAGES:
        count = 0 if images is None else len(images)
        raise DataError(f"int8 is calibrated on at least {LEAST_IMAGES} fused pictures, not {count}: give more pairs")
    if images.shape[1:] != shape or images.dtype != np.uint8:
        raise DataError(
            f"the calibration pictures are {images.dtype} {images.shape[1:]}, the model takes uint8 {shape}: "
            "prepare pairs with the model's own contract"
        )
    return images
