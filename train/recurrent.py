"""ResNet18 features of successive pairs into an LSTM: the second notebook's open question.

Hochreiter and Schmidhuber, Long Short-Term Memory (1997). A sequence can be run at once, as in training, or pair by
pair with the state handed on, as in the stream: both give the same numbers.
"""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet  # type: ignore[import-untyped]

from stream.contract import Contract
from stream.errors import UsageError

from .models import Network

State = tuple[Tensor, Tensor]
"""h and c, (N, M) each."""


class CnnLstm(ResNet):  # type: ignore[misc]
    """Pictures (N, T, C, S, S) and a state -> logits (N, T, 2) after each of the T pictures, and the last state.

    A ResNet in its names, so that ImageNet's weights fit.
    """

    def __init__(self, channels: int, memory: int) -> None:
        super().__init__(BasicBlock, [2, 2, 2, 2])
        if channels != 3:
            self.conv1 = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.lstm = nn.LSTM(512 * BasicBlock.expansion, memory, batch_first=True)
        self.out = nn.Linear(memory, 2)
        self.fc = nn.Identity()

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        count, steps = x.shape[:2]
        features = super().forward(x.flatten(0, 1)).reshape(count, steps, -1)
        given = None if state is None else (state[0][None], state[1][None])
        seen, (h, c) = self.lstm(features, given)
        return self.out(seen), (h[0], c[0])


class RecurrentNetwork(Network):
    """uint8 sequences (N, T, S, S, C) -> logits (N, 2) after the last picture; (N, S, S, C) is a sequence of one."""

    def __init__(self, contract: Contract) -> None:
        if not contract.memory:
            raise UsageError("a cnn-lstm needs a contract with memory: --set contract.memory=128")
        super().__init__(contract, CnnLstm(contract.channels, contract.memory))

    def forward(self, image: Tensor) -> Tensor:
        sequence = image if image.ndim == 5 else image[:, None]
        logits: Tensor = self.body(self.normalise(sequence))[0]
        return logits[:, -1]

    def step(self, image: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One picture (N, S, S, C) and the states (N, M) -> logits (N, 2) and the states after it."""
        logits, (h, c) = self.body(self.normalise(image[:, None]), (h, c))
        return logits[:, 0], h, c
