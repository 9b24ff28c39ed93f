"""Pulled model files: whole and pinned, or not at all."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from stream import downloads
from stream.downloads import CATALOG, face_model_file, pull
from stream.errors import ModelError, OutputError

DATA = b"a face model"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own, and an entry whose hash is that of DATA."""
    monkeypatch.setattr(downloads, "user_cache_path", lambda name: tmp_path / "cache" / name)
    pinned = replace(CATALOG["yunet"], sha256=hashlib.sha256(DATA).hexdigest())
    monkeypatch.setitem(CATALOG, "yunet", pinned)
    return tmp_path / "cache"


def never(url: str) -> bytes:
    raise AssertionError(f"{url} must not be fetched")


def test_the_pinned_file_is_kept_and_then_found() -> None:
    path = pull("yunet", lambda url: DATA)
    assert path.read_bytes() == DATA
    assert list(path.parent.iterdir()) == [path]
    assert face_model_file("yunet") == path
    assert pull("yunet", never) == path


def test_another_file_is_refused_and_nothing_is_kept(cache: Path) -> None:
    with pytest.raises(ModelError, match="SHA-256 differs"):
        pull("yunet", lambda url: b"something else")
    assert not list(cache.rglob("*.onnx"))


def test_a_damaged_file_is_fetched_anew() -> None:
    path = pull("yunet", lambda url: DATA)
    path.write_bytes(b"damaged")
    assert pull("yunet", lambda url: DATA).read_bytes() == DATA


def test_offline_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOG, "yunet", replace(CATALOG["yunet"], url="http://127.0.0.1:9/yunet.onnx"))
    with pytest.raises(ModelError, match=r"cannot download http://127\.0\.0\.1:9/yunet\.onnx .*: check the network"):
        pull("yunet")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_written_is_told(cache: Path) -> None:
    cache.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="cannot keep"):
        pull("yunet", lambda url: DATA)


def test_a_cache_folder_that_is_a_file_is_told(cache: Path) -> None:
    cache.write_text("in the way")
    with pytest.raises(OutputError, match="cannot keep"):
        pull("yunet", lambda url: DATA)


def test_a_name_not_pulled_yet_says_how_to_pull_it() -> None:
    with pytest.raises(ModelError, match="run 'flowtell models pull yunet' first"):
        face_model_file("yunet")


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "own.onnx").write_bytes(b"x")
    assert face_model_file(str(tmp_path / "own.onnx")) == tmp_path / "own.onnx"
    assert face_model_file(None) is None
    with pytest.raises(ModelError, match="no face model at"):
        face_model_file(str(tmp_path / "none.onnx"))


def test_the_real_entry_is_the_pinned_file_of_the_opencv_zoo() -> None:
    source = Path(downloads.__file__).read_text()
    assert "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4" in source
    assert CATALOG["yunet"].path().name == "face_detection_yunet_2023mar.onnx"
