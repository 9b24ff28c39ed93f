"""Several threads, one model: bounded, in turn, and each gets its own scores."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.batching import SharedModel
from stream.errors import ModelError
from stream.records import Image


def _image(value: int) -> Image:
    return np.full((2, 2, 3), value, np.uint8)


def _mean(images: Sequence[Image]) -> NDArray[np.float32]:
    return np.array([image.mean() for image in images], np.float32)


class _Gate:
    """A model whose every call waits for the test; it notes what it was called with."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.leave = threading.Semaphore(0)

    def __call__(self, images: Sequence[Image]) -> NDArray[np.float32]:
        self.calls.append([int(image[0, 0, 0]) for image in images])
        self.entered.release()
        assert self.leave.acquire(timeout=30)
        return _mean(images)


def _queued(shared: SharedModel, count: int) -> None:
    """Returns once ``count`` requests wait; a condition of the object itself, so that no time is guessed."""
    with shared._changed:
        assert shared._changed.wait_for(lambda: len(shared._waiting) == count, timeout=30)


class _Noticed(SharedModel):
    """Tells those who wait on its condition that a request has joined the queue."""

    def _is_next(self, request: object) -> bool:
        self._changed.notify_all()
        return super()._is_next(request)  # type: ignore[arg-type]


def test_each_thread_gets_the_scores_of_its_own_images() -> None:
    shared = SharedModel(_mean, workers=2, batch=3, merge=True)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda k: shared([_image(k), _image(k + 1)]), range(100)))
    assert [list(a) for a in answers] == [[k, k + 1] for k in range(100)]


def test_no_image_is_no_call() -> None:
    gate = _Gate()
    assert len(SharedModel(gate)([])) == 0 and gate.calls == []


def test_a_camera_with_many_faces_lets_the_others_in_between() -> None:
    gate = _Gate()
    shared = _Noticed(gate, workers=1, batch=2)
    with ThreadPoolExecutor(2) as pool:
        crowd = pool.submit(shared, [_image(k) for k in range(5)])
        assert gate.entered.acquire(timeout=30)
        single = pool.submit(shared, [_image(100)])
        _queued(shared, 1)
        for _ in range(4):
            gate.leave.release()
        assert list(crowd.result(30)) == [0, 1, 2, 3, 4] and list(single.result(30)) == [100]
    assert gate.calls == [[0, 1], [100], [2, 3], [4]]


def test_no_more_calls_run_at_once_than_there_are_workers() -> None:
    gate = _Gate()
    shared = _Noticed(gate, workers=2)
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(shared, [_image(k)]) for k in range(3)]
        assert gate.entered.acquire(timeout=30) and gate.entered.acquire(timeout=30)
        _queued(shared, 1)
        assert len(gate.calls) == 2
        for _ in range(3):
            gate.leave.release()
        assert [a.result(30)[0] for a in answers] == [0, 1, 2]


def test_what_waits_is_joined_into_one_batch_where_that_pays() -> None:
    gate = _Gate()
    shared = _Noticed(gate, workers=1, batch=3, merge=True)
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(shared, [_image(0)])]
        assert gate.entered.acquire(timeout=30)
        for k in (1, 2, 3, 4):
            if k < 4:
                answers.append(pool.submit(shared, [_image(k)]))
                _queued(shared, k)
        for _ in range(2):
            gate.leave.release()
        assert [a.result(30)[0] for a in answers] == [0, 1, 2, 3]
    assert gate.calls == [[0], [1, 2, 3]]


def test_an_error_reaches_its_camera_and_leaves_the_others_their_scores() -> None:
    def fails_on_nine(images: Sequence[Image]) -> NDArray[np.float32]:
        if any(image[0, 0, 0] == 9 for image in images):
            raise ModelError("nine")
        return _mean(images)

    shared = SharedModel(fails_on_nine, batch=8, merge=True)
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(shared, [_image(k % 10)]) for k in range(40)]
        outcomes = [a.exception(30) for a in answers]
    assert all(isinstance(outcomes[k], ModelError) for k in (9, 19, 29, 39))
    # A batch that held the bad image is tried again one by one, so at most its first member suffers with it.
    assert shared([_image(1)])[0] == 1


def test_workers_and_batch_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        SharedModel(_mean, workers=0)
