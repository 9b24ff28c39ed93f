"""The ONNX Runtime session: the file's own contract, honest devices, no noise."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest

from stream import model as module
from stream.contract import Contract
from stream.errors import ContractError, DeviceError, ModelError
from stream.model import Model, use_threads
from tests.tiny import tiny_model

CONTRACT = Contract(size=16)


def _cuda_driver() -> bool:
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


no_gpu = pytest.mark.skipif(_cuda_driver(), reason="an NVIDIA driver is here")


def _image(value: int) -> np.ndarray:
    return np.full((16, 16, 3), value, np.uint8)


def test_scores_come_back_in_order_as_float32(tmp_path: Path) -> None:
    scores = Model(tiny_model(tmp_path / "m.onnx", CONTRACT), "cpu")([_image(0), _image(51), _image(255)])
    assert scores.dtype == np.float32 and scores == pytest.approx([0, 0.2, 1])


def test_no_image_gives_no_score(tmp_path: Path) -> None:
    assert Model(tiny_model(tmp_path / "m.onnx", CONTRACT), "cpu")([]).shape == (0,)


def test_the_contract_is_the_files_own(tmp_path: Path) -> None:
    contract = Contract(size=32, input="flow", window_s=7.0)
    assert Model(tiny_model(tmp_path / "m.onnx", contract), "cpu").contract == contract


def test_threads_can_share_one_model(tmp_path: Path) -> None:
    model = Model(tiny_model(tmp_path / "m.onnx", CONTRACT), "cpu", threads=1)
    with ThreadPoolExecutor(8) as pool:
        scores = list(pool.map(lambda k: float(model([_image(k)])[0]), range(200)))
    assert scores == pytest.approx([k / 255 for k in range(200)])


def test_a_missing_file_and_one_that_is_no_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model at"):
        Model(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"not a network")
    with pytest.raises(ModelError, match="not an ONNX model"):
        Model(tmp_path / "bad.onnx", "cpu")


def test_a_model_without_a_contract_or_against_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="version"):
        Model(tiny_model(tmp_path / "m.onnx", CONTRACT, metadata="{}"), "cpu")
    other = Contract(size=32).to_json()
    with pytest.raises(ContractError, match=r"its contract says uint8 \(N, 32, 32, 3\)"):
        Model(tiny_model(tmp_path / "m.onnx", CONTRACT, metadata=other), "cpu")


def test_an_image_of_the_wrong_size_is_an_error_of_ours(tmp_path: Path) -> None:
    model = Model(tiny_model(tmp_path / "m.onnx", CONTRACT), "cpu")
    with pytest.raises(ModelError, match="could not be run"):
        model([np.zeros((8, 8, 3), np.uint8)])


def test_cuda_without_a_provider_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    file = tiny_model(tmp_path / "m.onnx", CONTRACT)
    with pytest.raises(DeviceError, match="no CUDA provider"):
        Model(file, "cuda")
    auto = Model(file, "auto")
    assert auto.device == "cpu" and "no CUDA provider" in auto.why


@no_gpu
def test_cuda_without_a_driver_is_refused_with_the_true_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    file = tiny_model(tmp_path / "m.onnx", CONTRACT)
    with pytest.raises(DeviceError, match="no NVIDIA driver"):
        Model(file, "cuda")
    assert "no NVIDIA driver" in Model(file, "auto").why


def test_cuda_with_a_driver_and_no_libraries_names_the_first_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(ctypes, "CDLL", lambda name: None)
    monkeypatch.setattr(ort, "preload_dlls", lambda: print("Failed to load libcudnn.so.9: no such file"), raising=False)
    with pytest.raises(DeviceError, match=r"libcudnn\.so\.9.*install flowtell\[cuda\]"):
        Model(tiny_model(tmp_path / "m.onnx", CONTRACT), "cuda")


@no_gpu
def test_choosing_the_cpu_automatically_prints_nothing(tmp_path: Path) -> None:
    file = tiny_model(tmp_path / "m.onnx", CONTRACT)
    code = (
        f"from pathlib import Path; from stream.model import Model; assert Model(Path({str(file)!r})).device == 'cpu'"
    )
    root = Path(__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert (run.stdout, run.stderr) == ("", "")


def test_the_bundled_model_has_a_form_of_its_own_for_cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    cpu = tiny_model(tmp_path / "flowtell.onnx", CONTRACT)
    cuda = tiny_model(tmp_path / "flowtell-cuda.onnx", CONTRACT)
    real = module._session

    def session(file: Path, device: str, threads: int | None) -> ort.InferenceSession:
        asked.append(f"{device} {file.name}")
        if device == "cuda":
            raise DeviceError("no kernels")
        return real(file, device, threads)

    monkeypatch.setattr(module, "BUNDLED", cpu)
    monkeypatch.setattr(module, "BUNDLED_CUDA", cuda)
    monkeypatch.setattr(module, "_no_cuda", lambda: None)
    monkeypatch.setattr(module, "_session", session)
    chosen = Model()
    assert asked == ["cuda flowtell-cuda.onnx", "cpu flowtell.onnx"]
    assert (chosen.device, chosen.file) == ("cpu", cpu) and "no kernels" in chosen.why


def test_opencv_gets_one_thread_and_several_cameras_give_the_model_one_each() -> None:
    before = cv2.getNumThreads()
    try:
        assert use_threads(cameras=8) == 1 and cv2.getNumThreads() == 1
        assert use_threads(cameras=1) == min(2, os.cpu_count() or 1)
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize(("nodes", "told"), [("Log", "nan"), ("Neg", "-1.0")])
def test_what_is_no_probability_is_an_error_of_the_model(tmp_path: Path, nodes: str, told: str) -> None:
    path = tiny_model(tmp_path / "odd.onnx", CONTRACT)
    graph = onnx.load(str(path))
    graph.graph.node[-1].output[0] = "before"
    graph.graph.node.append(onnx.helper.make_node("Neg", ["before"], ["minus"]))
    graph.graph.node.append(onnx.helper.make_node(nodes, ["minus" if nodes == "Log" else "before"], ["p_fake"]))
    onnx.save(graph, str(path))
    with pytest.raises(ModelError, match=f"gives .*{told}.* where P.fake. belongs"):
        Model(path, "cpu")([_image(255)])
