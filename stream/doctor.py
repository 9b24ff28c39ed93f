"""What works on this machine, tried out rather than assumed, and how to mend the rest."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import av
import cv2
import numpy as np

from .demo import CLIP
from .downloads import CATALOG
from .errors import FlowtellError
from .faces import HaarFaces, YunetFaces
from .model import Model
from .records import Frame
from .sinks.window import Screen, no_display
from .sources import read_file

_WINDOW_S = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. ``well``: True, False (must be mended), or None (told only); ``mend`` says how."""

    what: str
    well: bool | None
    told: str
    mend: str | None = None


def examine(model: Path | None, face_model: Path | None) -> Iterator[Finding]:
    """Look at one thing after another; nothing is raised, and nothing that is told holds a password."""
    yield Finding("flowtell", None, f"{version('flowtell')}, Python {platform.python_version()}, {platform.platform()}")
    yield Finding("packages", None, f"numpy {np.__version__}, OpenCV {cv2.__version__}, PyAV {av.__version__}")
    yield _runtime()
    yield _cuda(model)
    yield from _model(model)
    yield from _faces(face_model)
    yield _window()
    yield _recording()
    yield _extra()


def _runtime() -> Finding:
    found = [name for name in ("onnxruntime", "onnxruntime-gpu") if _version(name)]
    told = ", ".join(f"{name} {_version(name)}" for name in found) or "none"
    if len(found) == 1:
        return Finding("ONNX Runtime", True, told)
    mend = "pip uninstall onnxruntime onnxruntime-gpu, then pip install flowtell again: exactly one of them"
    return Finding("ONNX Runtime", False, told, mend)


def _cuda(model: Path | None) -> Finding:
    try:
        network = Model(model, "cuda")
        network([np.zeros((network.contract.size, network.contract.size, network.contract.channels), np.uint8)])
    except FlowtellError as error:
        return Finding(
            "CUDA", None, f"not used: {error}", "only if there is an NVIDIA GPU: pip install 'flowtell[cuda]'"
        )
    return Finding("CUDA", True, "the network runs on it")


def _model(model: Path | None) -> Iterator[Finding]:
    try:
        network = Model(model, "cpu")
        contract = network.contract
        network([np.zeros((contract.size, contract.size, contract.channels), np.uint8)])
    except FlowtellError as error:
        yield Finding("model", False, str(error), "install flowtell anew, or give --model FILE")
        return
    yield Finding("model", True, str(network.file))
    yield Finding(
        "contract",
        None,
        f"{contract.input} {contract.size} px, margin {contract.margin:g}, pairs {contract.gap_s:g} s apart "
        f"({contract.gap_min_s:g} to {contract.gap_max_s:g}), {contract.flow_method} flow",
    )
    limits = contract.thresholds
    yield Finding(
        "verdicts",
        None,
        f"FAKE from {limits.fake_enter:g} until below {limits.fake_leave:g}, REAL from {limits.real_enter:g} until "
        f"above {limits.real_leave:g}, over {contract.window_s:g} s and at least {contract.min_pairs} pairs",
    )
    yield Finding("trained on", None, contract.trained_on or "not told")
    yield Finding("scores", None, json.dumps(contract.scores) if contract.scores else "not told")


def _faces(face_model: Path | None) -> Iterator[Finding]:
    frame = next(read_file(CLIP), None) if CLIP.is_file() else None
    try:
        yield _detector("Haar", HaarFaces(), frame)
    except FlowtellError as error:
        yield Finding("Haar", False, str(error), "pip install 'opencv-python<5'")
    entry = CATALOG["yunet"]
    file = face_model or entry.path()
    if not file.is_file():
        yield Finding("YuNet", None, "not pulled", "if Haar misses faces: flowtell models pull yunet")
        return
    try:
        yield _detector("YuNet", YunetFaces(file), frame)
    except FlowtellError as error:
        yield Finding("YuNet", False, str(error), f"remove {file}, then: flowtell models pull yunet")


def _detector(name: str, detector: HaarFaces | YunetFaces, frame: Frame | None) -> Finding:
    if frame is None:
        return Finding(name, None, "loads; there is no demo clip to try it on")
    found = len(detector(frame))
    return Finding(name, found == 1, f"finds {found} of the 1 face in the demo clip")


def _window() -> Finding:
    if (why := no_display()) is not None:
        return Finding("window", None, why, "use --no-window, or start from a desktop")
    with Screen("flowtell doctor") as screen:
        screen.show(np.zeros((120, 160, 3), np.uint8))
        if screen.wait_shown(_WINDOW_S):
            return Finding("window", True, "opens")
    mend = "check DISPLAY; on a bare Debian or Ubuntu: apt install libgl1 libglib2.0-0 libsm6 libice6 libx11-6"
    return Finding(
        "window", False, f"does not open ({screen.lost or 'no answer'})", f"{mend} libx11-xcb1 libxext6 libxcb1"
    )


def _recording() -> Finding:
    if "libx264" in av.codecs_available:
        return Finding("recording", True, "H.264 (libx264)")
    return Finding("recording", False, "this PyAV has no libx264", "pip install --force-reinstall --no-cache-dir av")


def _extra() -> Finding:
    if (torch := _version("torch")) is not None:
        return Finding("training", None, f"torch {torch}")
    return Finding("training", None, "not installed", "only to train: pip install 'flowtell[train]'")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
