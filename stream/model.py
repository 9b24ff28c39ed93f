"""The network: an ONNX Runtime session, built from the file's own contract."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from .contract import KEY, Contract
from .errors import ContractError, DeviceError, ModelError
from .records import Image

Device = Literal["auto", "cpu", "cuda"]
BUNDLED = Path(__file__).parent / "models" / "flowtell.onnx"

# ONNX Runtime's exceptions share no base class of their own.
_ORT_ERRORS = (
    ort_state.Fail,
    ort_state.InvalidArgument,
    ort_state.InvalidGraph,
    ort_state.InvalidProtobuf,
    ort_state.NoModel,
    ort_state.NoSuchFile,
    ort_state.NotImplemented,
    ort_state.RuntimeException,
    ort_state.EPFail,
)


class Model:
    """Scores network inputs; thread-safe, so that several cameras can share one.

    file: an exported model; the bundled one by default. device: ``cuda`` raises unless ONNX Runtime
    really runs there; ``auto`` takes CUDA where it does. threads: CPU threads of one call.

    Attributes: ``contract``; ``device`` ("cpu" or "cuda"); ``why`` (a sentence that tells the choice).

    Raises:
        ModelError: the file is missing or not ONNX. ContractError: its contract cannot be met.
        DeviceError: ``cuda`` was asked for and is not there.
    """

    def __init__(self, file: Path | None = None, device: Device = "auto", threads: int | None = None) -> None:
        self.file = file or BUNDLED
        if not self.file.is_file():
            raise ModelError(f"no model at {self.file}: give --model FILE, or leave it out for the bundled one")
        self._session, self.device, self.why = _open(self.file, device, threads)
        text = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        if text is None:
            raise ContractError(f"{self.file} carries no flowtell contract: export it with 'flowtell export'")
        self.contract = Contract.from_json(text)
        inputs, size = self._session.get_inputs(), self.contract.size
        shape = [size, size, self.contract.channels]
        if inputs[0].type != "tensor(uint8)" or inputs[0].shape[1:] != shape:
            raise ContractError(
                f"{self.file} takes {inputs[0].type} {inputs[0].shape}, "
                f"its contract says uint8 (N, {size}, {size}, {shape[2]})"
            )
        self._input = inputs[0].name

    def __call__(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """P(fake) of each (S, S, C) uint8 image, (N,) float32 in [0, 1]; no image, no run."""
        if not images:
            return np.zeros(0, np.float32)
        try:
            out = self._session.run(None, {self._input: np.stack(images)})[0]
        except _ORT_ERRORS as error:
            raise ModelError(f"{self.file} could not be run: {error}") from error
        return np.asarray(out, np.float32).reshape(-1)


def _open(file: Path, device: Device, threads: int | None) -> tuple[ort.InferenceSession, str, str]:
    if device == "cpu":
        return _session(file, "cpu", threads), "cpu", "the CPU was asked for"
    listed = "CUDAExecutionProvider" in ort.get_available_providers()
    missing = "this onnxruntime has no CUDA provider (install flowtell[cuda] on Linux or Windows)"
    if listed:
        try:
            return _session(file, "cuda", threads), "cuda", "ONNX Runtime runs on CUDA"
        except DeviceError as error:
            missing = str(error)
    if device == "cuda":
        raise DeviceError(f"--device cuda cannot be had: {missing}; use --device auto or cpu")
    return _session(file, "cpu", threads), "cpu", f"no CUDA: {missing}"


def _session(file: Path, device: str, threads: int | None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or min(2, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    # Spinning threads starve the decoder: under load two of them are slower than one without.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list[str | tuple[str, dict[str, str]]] = ["CPUExecutionProvider"]
    if device == "cuda":
        # ORT lists CUDA and falls back to the CPU silently unless it is told not to.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        providers = [("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC"})]
        ort.preload_dlls()
    try:
        session = ort.InferenceSession(str(file), options, providers=providers)
    except _ORT_ERRORS as error:
        if device == "cuda":
            reason = str(error).splitlines()[0][:200]
            raise DeviceError(f"ONNX Runtime cannot run it on CUDA ({reason})") from error
        raise ModelError(f"{file} is not an ONNX model that ONNX Runtime can load") from error
    if device == "cuda" and session.get_providers()[0] != "CUDAExecutionProvider":
        raise DeviceError("ONNX Runtime fell back to the CPU (driver or CUDA libraries missing)")
    return session
