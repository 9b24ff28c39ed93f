"""How the picture moved between two crops: Farneback, DIS, or a learned network in an ONNX file.

The contract names one (``flow_method``, ``flow_options``); ``flow_function`` makes it a function of two crops.
A learned network lies in a file of its own beside the model: ``{"file": "flow.onnx", "sha256": "..."}``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from .contract import Contract
from .errors import ContractError, ModelError
from .records import Image

KEY = "flowtell-flow"
"""Key of a flow network's own metadata: ``{"version": 1, "method": "pwcnet", "size": S, ...}``."""

Flow = NDArray[np.float32]
"""(S, S, 2): motion in pixels (x, y) of each pixel of the first crop towards the second."""

FlowFunction = Callable[[Image, Image], Flow]
"""Two BGR crops of one size -> their flow."""

DIS_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}


def farneback(
    first: Image,
    second: Image,
    *,
    pyr_scale: float = 0.5,
    levels: int = 3,
    winsize: int = 15,
    iterations: int = 3,
    poly_n: int = 5,
    poly_sigma: float = 1.2,
    flags: int = 0,
) -> Flow:
    """Farneback's flow between the gray versions of two (S, S, 3) BGR crops, (S, S, 2) in pixels.

    Two-Frame Motion Estimation Based on Polynomial Expansion (2003), as in OpenCV.
    """
    gray = _gray(first), _gray(second)
    start = np.zeros((*gray[0].shape, 2), np.float32)
    return np.asarray(
        cv2.calcOpticalFlowFarneback(
            gray[0], gray[1], start, pyr_scale, levels, winsize, iterations, poly_n, poly_sigma, flags
        ),
        np.float32,
    )


def dis(first: Image, second: Image, *, preset: str = "fast") -> Flow:
    """Kroeger and others' Dense Inverse Search (2016) between two (S, S, 3) BGR crops, (S, S, 2) in pixels."""
    # The object keeps the last pair's buffers and is not safe to share between threads: making one costs microseconds.
    search = cv2.DISOpticalFlow_create(DIS_PRESETS[preset])  # type: ignore[attr-defined]
    start = np.zeros((*first.shape[:2], 2), np.float32)
    return np.asarray(search.calc(_gray(first), _gray(second), start), np.float32)


class LearnedFlow:
    """A flow network that ``flowtell train flow`` made; thread-safe.

    file: its ONNX file. sha256: what the file must hash to; None takes any. threads: CPU threads of one call.

    Raises:
        ModelError: the file is missing, is not that file, or is no flow network.
    """

    def __init__(self, file: Path, sha256: str | None = None, threads: int = 1) -> None:
        if not file.is_file():
            raise ModelError(f"no flow network at {file}: put it beside the model that names it")
        content = file.read_bytes()
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise ModelError(f"{file} is not the flow network that the model was trained with: its SHA-256 differs")
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except (ort_state.Fail, ort_state.InvalidGraph, ort_state.InvalidProtobuf) as error:
            raise ModelError(f"{file} is not an ONNX model that ONNX Runtime can load") from error
        text = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        about = json.loads(text) if text else {}
        if about.get("version") != 1 or about.get("method") != "pwcnet":
            raise ModelError(f"{file} is not a flow network of this flowtell: make one with 'flowtell train flow'")
        self.size = int(about["size"])

    def __call__(self, first: Image, second: Image) -> Flow:
        """The flow between two (S, S, 3) BGR crops, (S, S, 2) in pixels; another size is scaled there and back."""
        side = first.shape[0]
        crops = [c if side == self.size else _resize(c, self.size) for c in (first, second)]
        moved = np.asarray(
            self._session.run(None, {"first": crops[0][None], "second": crops[1][None]})[0][0], np.float32
        )
        if side == self.size:
            return moved
        scaled = cv2.resize(moved, (side, side), interpolation=cv2.INTER_LINEAR) * np.float32(side / self.size)
        return np.asarray(scaled, np.float32)


def pin_flow(contract: Contract, folder: Path) -> Contract:
    """The contract with the SHA-256 of its learned flow's file in ``folder``, where it names one without.

    Raises:
        ModelError: the file is missing.
    """
    options = contract.flow_options
    if contract.flow_method != "pwcnet" or "file" not in options or "sha256" in options:
        return contract
    file = folder / Path(str(options["file"])).name
    if not file.is_file():
        raise ModelError(f"no flow network at {file}: make one with 'flowtell train flow' and copy it there")
    return replace(contract, flow_options={**options, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()})


def flow_function(contract: Contract, folder: Path | None = None) -> FlowFunction:
    """The flow that the contract names; a learned one is looked for in ``folder``, beside the model.

    Raises:
        ContractError: an unknown method or option. ModelError: the flow network's file is missing or another.
    """
    options = contract.flow_options
    if contract.flow_method == "farneback":
        if unknown := options.keys() - (farneback.__kwdefaults__ or {}).keys():
            raise ContractError(f"the contract's Farneback flow has unknown options {', '.join(sorted(unknown))}")
        return _tried(partial(farneback, **options), options)
    if contract.flow_method == "dis":
        if options.keys() - {"preset"} or str(options.get("preset", "fast")) not in DIS_PRESETS:
            raise ContractError(f"the contract's DIS flow takes preset, one of {', '.join(DIS_PRESETS)}, not {options}")
        return partial(dis, **options)
    if contract.flow_method == "pwcnet":
        if options.keys() != {"file", "sha256"}:
            raise ContractError("the contract's learned flow needs flow_options with file and sha256")
        if folder is None:
            raise ContractError(
                "the contract's learned flow lies in a file of its own: open it through the model's folder"
            )
        # A name only: a model file must not make us read anywhere else.
        return LearnedFlow(folder / Path(str(options["file"])).name, str(options["sha256"]))
    raise ContractError(f"unknown flow method {contract.flow_method!r}: this flowtell knows farneback, dis, pwcnet")


def _tried(flow: FlowFunction, options: dict[str, Any]) -> FlowFunction:
    """The function, once it has shown that OpenCV takes its options."""
    crop = np.zeros((32, 32, 3), np.uint8)
    try:
        flow(crop, crop)
    except (cv2.error, TypeError) as error:
        raise ContractError(f"the contract's flow options cannot be meant: {options}") from error
    return flow


def _gray(crop: Image) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), np.uint8)


def _resize(crop: Image, side: int) -> Image:
    how = cv2.INTER_AREA if crop.shape[0] > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(crop, (side, side), interpolation=how), np.uint8)
