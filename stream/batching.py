"""Several cameras, one model: batches on CUDA, a bounded number of calls on a CPU, each camera in its turn."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .flows import FlowFunction
from .model import Model
from .records import Image
from .scoring import Score


class _Request:
    """Some images of one camera, and in the end their scores."""

    def __init__(self, images: Sequence[Image]) -> None:
        self.images = images
        self.scores: NDArray[np.float32] | None = None


class SharedModel:
    """A model that many threads call as if it were theirs alone: ``model(images)`` -> P(fake), (N,) float32.

    Requests are served in the order of their arrival, at most ``batch`` images of one at a time; the rest
    queues again. So a camera with twenty faces never makes the others wait for all twenty.

    model: scores images; called by at most ``workers`` threads at once (no threads of its own: those
    who wait do the work). batch: images of one call. merge: join what waits into one call, which a GPU
    repays and a CPU does not.
    """

    def __init__(self, model: Score, workers: int = 1, batch: int = 4, merge: bool = False) -> None:
        if workers < 1 or batch < 1:
            raise ValueError(f"workers and batch must be positive, not {workers} and {batch}")
        self._model = model
        self._workers = workers
        self._batch = batch
        self._merge = merge
        self._running = 0
        self._waiting: deque[_Request] = deque()
        self._changed = threading.Condition()

    def __call__(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """P(fake) of each image; returns when all of them are scored. Raises what the model raises."""
        parts = [self._score(images[i : i + self._batch]) for i in range(0, len(images), self._batch)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def _score(self, images: Sequence[Image]) -> NDArray[np.float32]:
        mine = _Request(images)
        with self._changed:
            self._waiting.append(mine)
            while not self._is_next(mine):
                if mine.scores is not None:  # another thread had it in its batch
                    return mine.scores
                self._changed.wait()
            requests = self._take()
            self._running += 1
            self._changed.notify_all()
        try:
            scores = self._model([image for r in requests for image in r.images])
            ends = np.cumsum([len(r.images) for r in requests])
            for request, part in zip(requests, np.split(scores, ends[:-1]), strict=True):
                request.scores = part
            return np.asarray(scores[: ends[0]])
        finally:
            with self._changed:
                # What the model raises concerns this thread; the others of its batch try again on their own.
                self._waiting.extendleft(r for r in reversed(requests[1:]) if r.scores is None)
                self._running -= 1
                self._changed.notify_all()

    def _is_next(self, request: _Request) -> bool:
        return self._running < self._workers and bool(self._waiting) and self._waiting[0] is request

    def _take(self) -> list[_Request]:
        """The oldest request, and where batches are joined those behind it that fit."""
        requests = [self._waiting.popleft()]
        room = self._batch - len(requests[0].images)
        while self._merge and self._waiting and len(self._waiting[0].images) <= room:
            requests.append(self._waiting.popleft())
            room -= len(requests[-1].images)
        return requests


@dataclass(frozen=True, slots=True)
class _WithFlow:
    """A way to score, with the flow function that its model brings."""

    score: Score
    flow: FlowFunction

    def __call__(self, images: Sequence[Image]) -> NDArray[np.float32]:
        return self.score(images)


def share(model: Model, cameras: int) -> Score:
    """The model as ``cameras`` cameras call it: in turn, one call a core; on CUDA in joined batches.

    A recurrent network is called as it is: its state goes in and out with each call.
    """
    if cameras == 1 or model.contract.memory:
        return model
    if model.device == "cuda":
        return _WithFlow(SharedModel(model, workers=1, batch=64, merge=True), model.flow)
    return _WithFlow(SharedModel(model, workers=os.cpu_count() or 1), model.flow)
