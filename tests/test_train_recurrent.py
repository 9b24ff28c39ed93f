"""CNN-LSTM: pair by pair gives what the whole sequence gives, in torch, in ONNX Runtime and in the stream."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from export.onnx_file import export
from stream.contract import Contract
from stream.errors import ContractError, UsageError
from stream.model import Model
from stream.records import Box, Pair
from stream.scoring import PairScorer
from train.models import build, p_fake
from train.recurrent import RecurrentNetwork

CONTRACT = Contract(input="rgb", size=32, memory=8)
STEPS = 5


@pytest.fixture(scope="module")
def network() -> RecurrentNetwork:
    torch.manual_seed(0)
    made = build(CONTRACT, "cnn-lstm")
    assert isinstance(made, RecurrentNetwork)
    # Statistics and an output that move with the picture, as after training.
    made.train()
    with torch.no_grad():
        made.body.out.weight.mul_(20)
        made(torch.randint(0, 256, (4, STEPS, 32, 32, 3), dtype=torch.uint8))
    return made.eval()


@pytest.fixture(scope="module")
def model(network: RecurrentNetwork, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(export(network, CONTRACT, tmp_path_factory.mktemp("lstm") / "lstm.onnx"), "cpu")


@pytest.fixture(scope="module")
def sequences() -> np.ndarray:
    """(2, STEPS, 32, 32, 3): two faces."""
    return np.random.default_rng(1).integers(0, 256, (2, STEPS, 32, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def at_once(network: RecurrentNetwork, sequences: np.ndarray) -> np.ndarray:
    """P(fake) (2, STEPS) after each pair, each sequence run at once."""
    with torch.inference_mode():
        prefixes = [p_fake(network(torch.from_numpy(sequences[:, : k + 1])), CONTRACT) for k in range(STEPS)]
    return torch.stack(prefixes, 1).numpy()


def test_torch_pair_by_pair_equals_the_sequence_at_once(
    network: RecurrentNetwork, sequences: np.ndarray, at_once: np.ndarray
) -> None:
    h = c = torch.zeros(2, CONTRACT.memory)
    with torch.inference_mode():
        for k in range(STEPS):
            logits, h, c = network.step(torch.from_numpy(sequences[:, k]), h, c)
            np.testing.assert_allclose(p_fake(logits, CONTRACT).numpy(), at_once[:, k], atol=1e-5)


def test_the_memory_matters(at_once: np.ndarray, network: RecurrentNetwork, sequences: np.ndarray) -> None:
    with torch.inference_mode():
        alone = p_fake(network(torch.from_numpy(sequences[:, -1])), CONTRACT).numpy()
    assert np.abs(alone - at_once[:, -1]).min() > 1e-4


def test_onnx_runtime_pair_by_pair_equals_the_sequence_at_once(
    model: Model, sequences: np.ndarray, at_once: np.ndarray
) -> None:
    states = np.zeros((2, 2, CONTRACT.memory), np.float32)
    for k in range(STEPS):
        scores, states = model.step(list(sequences[:, k]), states)
        np.testing.assert_allclose(scores, at_once[:, k], atol=1e-5)


def test_the_stream_keeps_each_faces_memory_apart(model: Model, sequences: np.ndarray, at_once: np.ndarray) -> None:
    score = PairScorer(model, CONTRACT)
    for k in range(STEPS):
        ready = [_pair(track, k * 0.1, sequences[track, k]) for track in (0, 1) if not (track == 1 and k > 2)]
        np.testing.assert_allclose(score(ready), at_once[: len(ready), k], atol=1e-5)


def test_pairs_of_one_face_in_one_call_follow_each_other(
    model: Model, sequences: np.ndarray, at_once: np.ndarray
) -> None:
    ready = [_pair(track, k * 0.1, sequences[track, k]) for k in range(STEPS) for track in (0, 1)]
    np.testing.assert_allclose(PairScorer(model, CONTRACT)(ready), at_once.T.reshape(-1), atol=1e-5)


def test_a_face_that_was_away_for_longer_than_the_window_starts_anew(
    model: Model, sequences: np.ndarray, at_once: np.ndarray
) -> None:
    score = PairScorer(model, CONTRACT)
    score([_pair(0, 0.0, sequences[1, 3])])
    again = score([_pair(0, CONTRACT.window_s + 0.1, sequences[0, 0])])
    np.testing.assert_allclose(again, at_once[:1, 0], atol=1e-5)


def test_a_model_without_states_cannot_serve_a_recurrent_contract() -> None:
    with pytest.raises(ContractError, match="takes no state"):
        PairScorer(lambda images: np.zeros(len(images), np.float32), CONTRACT)


def test_a_contract_without_memory_is_refused() -> None:
    with pytest.raises(UsageError, match=r"contract.memory"):
        build(Contract(), "cnn-lstm")


def _pair(track: int, pts_s: float, crop: np.ndarray) -> Pair:
    # The input form rgb turns BGR round, so the crop is turned beforehand.
    bgr = np.ascontiguousarray(crop[..., ::-1])
    return Pair(track, pts_s, 0.04, bgr, bgr, Box(0, 0, 90, 90), 90.0)
