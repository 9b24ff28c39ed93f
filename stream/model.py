"""The network: an ONNX Runtime session, built from the file's own contract."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from .contract import KEY, Contract
from .errors import ContractError, DeviceError, ModelError
from .flows import flow_function
from .records import Image, States

Device = Literal["auto", "cpu", "cuda"]
BUNDLED = Path(__file__).parent / "models" / "flowtell.onnx"
BUNDLED_CUDA = BUNDLED.with_name("flowtell-cuda.onnx")  # the same network, fastest form there

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
        files = {"cpu": file or BUNDLED, "cuda": file or (BUNDLED_CUDA if BUNDLED_CUDA.is_file() else BUNDLED)}
        for needed in files.values():
            if not needed.is_file():
                if file is None:
                    raise ModelError(
                        f"the bundled model {needed} is missing: install flowtell anew, or give --model FILE"
                    )
                raise ModelError(f"no model at {needed}: give --model FILE, or leave it out for the bundled one")
        self._session, self.device, self.why = _open(files, device, threads)
        self.file = files[self.device]
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
        if self.contract.memory and [i.name for i in inputs[1:]] != ["h", "c"]:
            raise ContractError(f"{self.file} takes no states h and c, but its contract is that of a recurrent network")
        self._input = inputs[0].name
        self.flow = flow_function(self.contract, self.file.parent)

    def __call__(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """P(fake) of each (S, S, C) uint8 image, (N,) float32 in [0, 1]; no image, no run.

        Raises:
            ModelError: the network cannot be run, or gives what is no probability (NaN, say).
        """
        if not images:
            return np.zeros(0, np.float32)
        if self.contract.memory:
            return self.step(images, np.zeros((len(images), 2, self.contract.memory), np.float32))[0]
        return self._checked(self._run({self._input: np.stack(images)})[0], len(images))

    def step(self, images: Sequence[Image], states: States) -> tuple[NDArray[np.float32], States]:
        """P(fake) (N,) of one image of each of N faces, and their states (N, 2, M) after it."""
        p_fake, h, c = self._run({self._input: np.stack(images), "h": states[:, 0], "c": states[:, 1]})
        return self._checked(p_fake, len(images)), np.stack((h, c), axis=1)

    def _checked(self, given: Any, count: int) -> NDArray[np.float32]:
        """What the network gave as P(fake), (count,). Raises ModelError where it is none."""
        p_fake = np.asarray(given, np.float32).reshape(-1)
        if len(p_fake) != count or not bool(((p_fake >= 0) & (p_fake <= 1)).all()):
            raise ModelError(f"{self.file} gives {p_fake[:4].tolist()} where P(fake) belongs: export it anew")
        return p_fake

    def _run(self, feed: dict[str, NDArray[Any]]) -> Sequence[Any]:
        try:
            outputs: Sequence[Any] = self._session.run(None, feed)
        except _ORT_ERRORS as error:
            raise ModelError(f"{self.file} could not be run: {error}") from error
        return outputs


def use_threads(cameras: int = 1) -> int:
    """Set OpenCV's threads for this process, and tell how many threads one call of the model should use.

    Pictures here are so small that OpenCV's second thread gains nothing (Farneback at 224 px: none at all)
    and only takes a core from the decoder. One camera gives the model two cores for a quick answer; several
    fill the cores by themselves, one call on each.
    """
    cv2.setNumThreads(1)
    return 1 if cameras > 1 else min(2, os.cpu_count() or 1)


def _open(files: dict[str, Path], device: Device, threads: int | None) -> tuple[ort.InferenceSession, str, str]:
    # What goes wrong is raised or told in `why`; ONNX Runtime would print it to stderr as well.
    ort.set_default_logger_severity(4)
    if device == "cpu":
        return _session(files["cpu"], "cpu", threads), "cpu", "the CPU was asked for"
    missing = _no_cuda()
    if missing is None:
        try:
            return _session(files["cuda"], "cuda", threads), "cuda", "ONNX Runtime runs on CUDA"
        except DeviceError as error:
            missing = str(error)
    if device == "cuda":
        raise DeviceError(f"--device cuda cannot be had: {missing}; use --device auto or cpu")
    return _session(files["cpu"], "cpu", threads), "cpu", f"no CUDA: {missing}"


def _no_cuda() -> str | None:
    """Why CUDA cannot be had, as far as can be told without trying; None where it is worth a try."""
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return "this onnxruntime has no CUDA provider (install flowtell[cuda] on Linux or Windows)"
    driver = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(driver)
    except OSError:
        return f"there is no NVIDIA driver here ({driver} cannot be loaded)"
    # preload_dlls prints what it cannot find, instead of raising.
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        ort.preload_dlls()
    failed = [line for line in told.getvalue().splitlines() if line.startswith("Failed to load")]
    return f"{failed[0]} (install flowtell[cuda])" if failed else None


def _session(file: Path, device: str, threads: int | None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or min(2, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    # Spinning threads starve the decoder: under load two of them are slower than one without.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Tiny numbers after a ReLU cost many times the time of ordinary ones.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    # The CPU's arena stays on: a tenth faster, and small because SharedModel bounds the batch.
    providers: list[str | tuple[str, dict[str, str]]] = ["CPUExecutionProvider"]
    if device == "cuda":
        # ORT lists CUDA and falls back to the CPU silently unless it is told not to.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        # The arena grows by what is asked for: the GPU is rarely flowtell's alone.
        cuda = {"cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested"}
        providers = [("CUDAExecutionProvider", cuda)]
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
