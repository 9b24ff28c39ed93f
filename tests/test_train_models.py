"""Networks: built from the contract, filled with weights that fit, and loaded back from their checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torchvision.models import ResNet18_Weights, resnet18
from trainset import SMALL

from stream.contract import Contract
from stream.errors import ContractError, DataError, ModelError, UsageError
from train.models import build, load, p_fake, read_state, start_from
from train.recipe import normalisation

STACK = replace(SMALL, input="stack", mean=normalisation(6)[0], std=normalisation(6)[1])


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as torchvision publishes it: a thousand classes."""
    torch.manual_seed(3)
    file = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(resnet18().state_dict(), file)
    return file


def test_bytes_go_in_and_two_logits_come_out_normalised_by_the_contract() -> None:
    torch.manual_seed(0)
    network = build(SMALL).eval()
    image = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    by_hand = (image.permute(0, 3, 1, 2) / 255 - torch.tensor(SMALL.mean)[:, None, None]) / torch.tensor(SMALL.std)[
        :, None, None
    ]
    with torch.no_grad():
        assert network(image).shape == (3, 2)
        assert torch.allclose(network(image), network.body(by_hand), atol=1e-5)


def test_stacked_channels_widen_the_first_layer_alone() -> None:
    plain, stack = build(SMALL), build(STACK)
    assert stack.body.get_parameter("conv1.weight").shape == (64, 6, 7, 7)
    assert sum(p.numel() for p in stack.parameters()) - sum(p.numel() for p in plain.parameters()) == 64 * 3 * 49
    assert sum(p.numel() for p in plain.parameters()) == 11_177_538


def test_p_fake_is_the_softmax_of_the_first_class_and_calibration_moves_it() -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 0.5]])
    assert torch.allclose(p_fake(logits, SMALL), torch.softmax(logits, 1)[:, 0])
    calibrated = p_fake(logits, replace(SMALL, temperature=2.0, bias=-0.5))
    assert torch.allclose(calibrated, torch.sigmoid(torch.tensor([1.0, -0.5])))


def test_weights_of_a_file_are_taken_but_not_its_thousand_classes(published: Path) -> None:
    network = build(SMALL)
    head = network.body.get_parameter("fc.weight").clone()
    assert start_from(network, str(published)) == 120
    assert torch.equal(network.body.get_parameter("conv1.weight"), torch.load(published)["conv1.weight"])
    assert torch.equal(network.body.get_parameter("fc.weight"), head)


def test_stacked_channels_start_from_three_pretrained_ones_and_silence(published: Path) -> None:
    network = build(STACK)
    start_from(network, str(published))
    first = network.body.get_parameter("conv1.weight")
    assert torch.equal(first[:, :3], torch.load(published)["conv1.weight"])
    assert not first[:, 3:].any()


def test_from_scratch_nothing_is_loaded() -> None:
    assert start_from(build(SMALL), "none") == 0


def test_imagenet_without_a_network_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no route")

    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", offline)
    with pytest.raises(DataError, match="cannot be downloaded here: give --weights FILE"):
        start_from(build(SMALL), "imagenet")


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match="fits only 0 of"):
        start_from(build(SMALL), str(tmp_path / "other.pt"))


def test_a_checkpoint_comes_back_with_its_contract(tmp_path: Path) -> None:
    network = build(STACK).eval()
    torch.save({"model": network.state_dict(), "arch": "resnet18", "contract": STACK.to_json()}, tmp_path / "a.pt")
    loaded, contract = load(tmp_path / "a.pt")
    assert contract == STACK
    image = torch.randint(0, 256, (2, 32, 32, 6), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(loaded(image), network(image))


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"model": Path("a")}, tmp_path / "code.pt")
    with pytest.raises(ModelError, match="not a torch file of plain weights"):
        read_state(tmp_path / "code.pt")


def test_what_is_no_checkpoint_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no file"):
        load(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(ModelError, match="not a torch file"):
        load(tmp_path / "text.pt")
    torch.save({"a": torch.zeros(1)}, tmp_path / "state.pt")
    with pytest.raises(ModelError, match="is no flowtell checkpoint"):
        load(tmp_path / "state.pt")
    torch.save([1], tmp_path / "list.pt")
    with pytest.raises(ModelError, match="no dictionary"):
        load(tmp_path / "list.pt")


def test_an_unknown_architecture_and_a_mean_that_does_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="no architecture 'vit'"):
        build(SMALL, "vit")
    with pytest.raises(ContractError, match="one value for each of the 6 channels"):
        build(Contract(input="stack"))
