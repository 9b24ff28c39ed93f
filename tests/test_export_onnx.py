"""Export: one file that says what torch says and carries its contract, or no file at all."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from trainset import SMALL, SmallBody, portrait_video, small_store

from export import cli
from export.onnx_file import export
from export.parity import LIMITS, Parity, compare, real_images, refuse
from stream.commands.check import check
from stream.contract import KEY, Contract
from stream.errors import DataError, ModelError, OutputError, UsageError
from stream.model import Model
from tests.test_flows import constant_flow_net
from train.calibrate import calibrate
from train.fit import Setting, fit
from train.manifest import Clip
from train.metrics import ClipScores
from train.models import build
from train.recipe import from_values, normalisation, read_recipe
from train.store import copy_flow

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


def test_a_learned_flow_goes_along_from_the_store_to_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("train.models._resnet18", SmallBody)
    store, run, out = small_store(tmp_path / "store"), tmp_path / "run", tmp_path / "out"
    flow = constant_flow_net(store / "flow.onnx", 32).read_bytes()
    values = read_recipe("pwcnet-vgg16").values()
    small = {"arch": "resnet18", "weights": "none", "batch": 8, "epochs": 1, "epoch_samples": 8, "test_share": 0.0}
    contract = {**values["contract"], "size": 32}
    fit(store, run, from_values({**values, **small, "contract": contract}), Setting("cpu", workers=0))
    cli.export_checkpoint(run / "best.pt", out / "m.onnx", images=4)
    calibrate(out / "m.onnx", tmp_path / "new" / "m.onnx", told_apart)
    assert [folder.joinpath("flow.onnx").read_bytes() for folder in (run, out, tmp_path / "new")] == [flow] * 3
    model = Model(out / "m.onnx", "cpu")
    assert model.flow(*np.zeros((2, 32, 32, 3), np.uint8))[5, 5].tolist() == [1.5, -0.5]
    assert model.contract.flow_options["sha256"] == hashlib.sha256(flow).hexdigest()
    assert check(portrait_video(tmp_path / "v.mp4"), model=out / "m.onnx", device="cpu") == 0
    assert re.search("Original|Fake", capsys.readouterr().out)


def told_apart(file: Path) -> tuple[list[ClipScores], list[None]]:
    """A model that can be opened, and scores that it could have given."""
    Model(file, "cpu")
    kinds = [("real", 0.2), ("real", 0.4), ("fake", 0.6), ("fake", 0.8)]
    clips = [Clip(str(p), Path("x"), "fake" if label == "fake" else "real") for label, p in kinds]
    return [ClipScores(clip, np.zeros(1), np.array([p])) for clip, (_, p) in zip(clips, kinds, strict=True)], [None] * 4


def test_a_flow_network_that_another_model_may_need_is_not_replaced(tmp_path: Path) -> None:
    contract = replace(SMALL, flow_method="pwcnet", flow_options={"file": "flow.onnx"})
    with pytest.raises(ModelError, match="no flow network at"):
        copy_flow(contract, tmp_path / "one", tmp_path / "out")
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "flow.onnx").write_text(name)
    copy_flow(contract, tmp_path / "one", tmp_path / "out")
    copy_flow(contract, tmp_path / "one", tmp_path / "out")
    with pytest.raises(OutputError, match="is another flow network"):
        copy_flow(contract, tmp_path / "other", tmp_path / "out")
    assert (tmp_path / "out" / "flow.onnx").read_text() == "one"


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
