"""Optional model files: downloaded on request, checked against a pinned SHA-256, kept in the user cache directory."""

from __future__ import annotations

import hashlib
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from platformdirs import user_cache_path

from .errors import ModelError, OutputError

_TIMEOUT_S = 30.0
_LARGEST = 64 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that can be pulled."""

    name: str
    what: str
    url: str
    sha256: str

    def path(self) -> Path:
        """Where it is kept."""
        return user_cache_path("flowtell") / self.url.rpartition("/")[2]


CATALOG = {
    "yunet": Entry(
        "yunet",
        "YuNet 2023mar, a face detector (MIT, Shiqi Yu), from the OpenCV model zoo",
        "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/face_detection_yunet/"
        "face_detection_yunet_2023mar.onnx",
        "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    )
}

Fetch = Callable[[str], bytes]


def face_model_file(wanted: str | None) -> Path | None:
    """The file that ``--face-model`` means: a name of the catalogue, or a path; None is Haar.

    Raises:
        ModelError: a name that was not pulled yet, or no such file.
    """
    if wanted is None:
        return None
    entry = CATALOG.get(wanted)
    path = Path(wanted) if entry is None else entry.path()
    if not path.is_file():
        hint = "give YuNet's ONNX file, or 'yunet'" if entry is None else f"run 'flowtell models pull {wanted}' first"
        raise ModelError(f"no face model at {path}: {hint}")
    return path


def pull(name: str, fetch: Fetch | None = None) -> Path:
    """The file of a catalogue entry, downloaded unless it is there already, whole or not at all.

    fetch: an address -> its bytes.

    Raises:
        ModelError: it cannot be downloaded, or is not the pinned file. OutputError: it cannot be kept.
    """
    entry = CATALOG[name]
    path = entry.path()
    if path.is_file() and _is(entry, path.read_bytes()):
        return path
    data = (fetch or _download)(entry.url)
    if not _is(entry, data):
        raise ModelError(f"what {entry.url} gave is not the pinned file (SHA-256 differs): nothing was kept, try again")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as part:
            part.write(data)
        Path(part.name).replace(path)
    except OSError as error:
        raise OutputError(f"cannot keep {path}: {error.strerror}") from error
    return path


def _is(entry: Entry, data: bytes) -> bool:
    return hashlib.sha256(data).hexdigest() == entry.sha256


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            return bytes(answer.read(_LARGEST))
    except (urllib.error.URLError, HTTPException, OSError) as error:
        why = getattr(error, "reason", None) or error
        raise ModelError(
            f"cannot download {url} ({why}): check the network, or fetch it elsewhere and give --face-model FILE"
        ) from error
