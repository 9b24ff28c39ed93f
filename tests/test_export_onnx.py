"""Export: one file that says what torch says and carries its contract, or no file at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from trainset import SMALL, small_store

from export import cli
from export.onnx_file import export
from export.parity import LIMITS, Parity, compare, real_images, refuse
from stream.contract import KEY, Contract
from stream.errors import DataError, ModelError, OutputError, UsageError
from stream.model import Model
from train.models import build
from train.recipe import normalisation

CALIBRATED = replace(SMALL, temperature=1.7, bias=-0.4, trained_on="nothing", scores={"auc": 0.5}, commit="abc")
STACK = replace(SMALL, input="stack", mean=normalisation(6)[0], std=normalisation(6)[1])


def checkpoint(file: Path, contract: Contract) -> Path:
    torch.manual_seed(0)
    torch.save({"model": build(contract).state_dict(), "arch": "resnet18", "contract": contract.to_json()}, file)
    return file


@pytest.mark.parametrize("contract", [CALIBRATED, STACK], ids=["fused", "stack"])
def test_the_file_says_what_torch_says_with_its_contract_at_any_batch(tmp_path: Path, contract: Contract) -> None:
    file = checkpoint(tmp_path / "a.pt", contract)
    store = small_store(tmp_path / "store", contract, clips=4)
    cli.export_checkpoint(file, tmp_path / "out" / "a.onnx", store=store, images=12)
    model = Model(tmp_path / "out" / "a.onnx", "cpu")
    assert model.contract == contract
    images = real_images(contract, 12, store)
    assert images.shape == (12, 32, 32, contract.channels)
    assert compare(file, tmp_path / "out" / "a.onnx", images).largest < 1e-5
    assert model(list(images[:1])) == pytest.approx(model(list(images))[:1], abs=1e-6)
    graph = onnx.load(tmp_path / "out" / "a.onnx")
    assert [p.key for p in graph.metadata_props] == [KEY]
    assert [i.name for i in graph.graph.input] == ["image"]
    assert [o.name for o in graph.graph.output] == ["p_fake"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.onnx"]


def test_half_precision_is_half_the_size_and_close(tmp_path: Path) -> None:
    file, store = checkpoint(tmp_path / "a.pt", SMALL), small_store(tmp_path / "store", clips=4)
    cli.export_checkpoint(file, tmp_path / "a.onnx", precision="fp16", store=store, images=4)
    assert (tmp_path / "a.onnx").stat().st_size < 25e6
    assert compare(file, tmp_path / "a.onnx", real_images(SMALL, 4, store)).largest < LIMITS["fp16"]


def test_a_file_that_says_something_else_is_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(module: torch.nn.Module, contract: Contract, out: Path) -> Path:
        return export(module, replace(contract, bias=0.01), out)

    monkeypatch.setattr(cli, "export", wrong)
    file, store = checkpoint(tmp_path / "a.pt", SMALL), small_store(tmp_path / "store", clips=2)
    with pytest.raises(ModelError, match=r"is not the network: .* where 0\.0001 is allowed"):
        cli.export_checkpoint(file, tmp_path / "a.onnx", store=store, images=4)
    assert not (tmp_path / "a.onnx").exists()


def test_a_difference_that_is_no_number_is_refused() -> None:
    refuse(Parity(1, 1e-4, 0.0), "fp32")
    for largest in (2e-4, float("nan")):
        with pytest.raises(ModelError):
            refuse(Parity(1, largest, 0.0), "fp32")


def test_without_a_store_the_bundled_clip_gives_the_images() -> None:
    images = real_images(SMALL, 3)
    assert images.shape == (3, 32, 32, 3)
    assert len({image.tobytes() for image in images}) == 3


def test_a_stores_images_come_from_all_of_its_clips(tmp_path: Path) -> None:
    store = small_store(tmp_path, clips=4, pairs=3)
    images = real_images(replace(SMALL, input="rgb"), 6, store)
    assert len(np.unique(images.reshape(6, -1), axis=0)) == 6
    assert len(real_images(replace(SMALL, input="rgb"), 100, store)) == 12


def test_impossible_requests_are_one_clear_error(tmp_path: Path) -> None:
    file = checkpoint(tmp_path / "a.pt", SMALL)
    with pytest.raises(UsageError, match=r"must end in \.onnx"):
        cli.export_checkpoint(file, tmp_path / "a.pb")
    with pytest.raises(UsageError, match="at least 1"):
        cli.export_checkpoint(file, tmp_path / "a.onnx", images=0)
    with pytest.raises(DataError, match="another contract"):
        cli.export_checkpoint(file, tmp_path / "a.onnx", store=small_store(tmp_path / "s", replace(SMALL, size=48)))
    with pytest.raises(ModelError, match="no file"):
        cli.export_checkpoint(tmp_path / "none.pt", tmp_path / "a.onnx")
    (tmp_path / "blocked").write_text("a file, not a folder")
    with pytest.raises(OutputError, match="cannot be written"):
        cli.export_checkpoint(
            file, tmp_path / "blocked" / "a.onnx", store=small_store(tmp_path / "store", clips=2), images=2
        )
