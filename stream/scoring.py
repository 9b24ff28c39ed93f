"""Pairs -> P(fake): fused by the contract and scored, with a memory for each face where the network has one.

A recurrent network's ONNX file takes ``image``, ``h``, ``c`` and gives ``p_fake``, ``h``, ``c`` (Hochreiter and
Schmidhuber, Long Short-Term Memory, 1997): its state goes in and out, and is kept here, for each face of one source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .contract import Contract
from .errors import ContractError
from .flows import FlowFunction, flow_function
from .fusion import fuse
from .records import Image, Pair, States

Score = Callable[[Sequence[Image]], NDArray[np.float32]]
"""Network inputs -> P(fake) of each."""

RATE_HZ = 10.0
"""Pairs a second of each face that are scored by default, in files and live alike."""


class Scorer(Protocol):
    """Whatever scores network inputs under a contract: ``stream.model.Model``, or a checkpoint in training."""

    contract: Contract

    def __call__(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """P(fake) of each image, (N,) float32 in [0, 1]."""


@runtime_checkable
class Recurrent(Protocol):
    """A model that also takes and gives a state for each image."""

    def step(self, images: Sequence[Image], states: States) -> tuple[NDArray[np.float32], States]:
        """P(fake) of each image, (N,), and the states after it."""


@runtime_checkable
class OwnFlow(Protocol):
    """A model that brings its contract's flow function, opened once (a learned one lies beside its file)."""

    flow: FlowFunction


@dataclass(slots=True)
class _Memory:
    state: States  # (2, M)
    pts_s: float


class PairScorer:
    """Scores the pairs of one source; one instance per source, because it remembers faces.

    A face whose last pair is longer ago than the contract's window, or in the future, starts anew.

    Raises:
        ContractError: the contract wants a memory and the model takes no state, or its flow cannot be had.
    """

    def __init__(self, model: Score, contract: Contract) -> None:
        if contract.memory and not isinstance(model, Recurrent):
            raise ContractError("the contract is that of a recurrent network, but this model takes no state")
        self._model = model
        self._contract = contract
        self._flow = model.flow if isinstance(model, OwnFlow) else flow_function(contract)
        self._memories: dict[int, _Memory] = {}

    def __call__(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """P(fake) of each pair, (N,) float32; the pairs of one face in the order of time."""
        images = [fuse(pair, self._contract, self._flow) for pair in pairs]
        if not (self._contract.memory and isinstance(self._model, Recurrent)):
            return self._model(images)
        scores = np.zeros(len(pairs), np.float32)
        waiting = list(range(len(pairs)))
        while waiting:
            # One pair of each face at a time: a face's next pair needs the state that this one leaves.
            first_of = {pairs[i].track: i for i in reversed(waiting)}
            now = sorted(first_of.values())
            states = np.stack([self._state(pairs[i]) for i in now])
            scores[now], after = self._model.step([images[i] for i in now], states)
            for i, state in zip(now, after, strict=True):
                self._memories[pairs[i].track] = _Memory(state, pairs[i].pts_s)
            waiting = [i for i in waiting if i not in now]
        self._forget(max((pair.pts_s for pair in pairs), default=None))
        return scores

    def _state(self, pair: Pair) -> States:
        memory = self._memories.get(pair.track)
        if memory is None or not 0 < pair.pts_s - memory.pts_s <= self._contract.window_s:
            return np.zeros((2, self._contract.memory), np.float32)
        return memory.state

    def _forget(self, now_s: float | None) -> None:
        if now_s is not None:
            self._memories = {
                k: m for k, m in self._memories.items() if abs(now_s - m.pts_s) <= self._contract.window_s
            }
