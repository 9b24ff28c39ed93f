"""stream.pipeline: from frames to verdicts, told by pictures whose answer is known beforehand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream.contract import Contract
from stream.pairing import Pairer
from stream.pipeline import detect, judge, pairs
from stream.records import Image, Pair, Reason, State
from stream.scoring import PairScorer
from stream.tracking import Tracker
from stream.verdict import Window
from tests.scenes import Faces, face, frame, scene

CONTRACT = Contract(size=64, input="rgb")
COUNT = 30


class Told:
    """A model that always says the same, and remembers how many images it was asked about."""

    contract = CONTRACT

    def __init__(self, p_fake: float = 0.9) -> None:
        self.p_fake = p_fake
        self.asked = 0

    def __call__(self, images: Sequence[Image]) -> NDArray[np.float32]:
        self.asked += len(images)
        return np.full(len(images), self.p_fake, np.float32)


def moving(count: int = COUNT) -> list[Image]:
    """A face that moves a pixel a frame, to and fro, so that no picture is frozen."""
    return [scene(x=place(i)) for i in range(count)]


def place(index: int) -> int:
    return 100 + abs(index % 40 - 20)


def test_each_frame_comes_with_its_tracks_and_the_pairs_that_it_completes() -> None:
    shown = [frame(i, p) for i, p in enumerate(moving(6))]
    told = list(pairs(shown, Faces([[face(place(i))] for i in range(6)]), Tracker(), Pairer(CONTRACT)))
    assert [f.index for f, _, _ in told] == list(range(6))
    assert [[t.id for t in tracks] for _, tracks, _ in told] == [[], [], [1], [1], [1], [1]]
    assert [[p.pts_s for p in made] for _, _, made in told] == [[], [], [0.08], [0.12], [0.16], [0.2]]


def test_a_face_becomes_a_verdict_once_it_has_enough_pairs() -> None:
    shown = [frame(i, p) for i, p in enumerate(moving())]
    told = list(judge(shown, Told(0.9), Faces([[face(place(i))] for i in range(COUNT)]), rate_hz=None))
    said = [(v[0].state, v[0].reason) if v else None for _, v in told]
    assert said[:2] == [None, None]
    assert said[2:9] == [(State.UNSURE, Reason.WARMING_UP)] * 7
    assert said[9:] == [(State.FAKE, None)] * (COUNT - 9)


def test_the_same_frames_give_the_same_verdicts_again() -> None:
    shown = [frame(i, p) for i, p in enumerate(moving())]
    runs = [[v for _, v in judge(shown, Told(0.3), Faces([[face(place(i))] for i in range(COUNT)]))] for _ in range(2)]
    assert runs[0] == runs[1]


def test_a_frame_without_a_face_costs_no_score() -> None:
    model = Told()
    told = list(judge([frame(i, p) for i, p in enumerate(moving())], model, Faces([[]] * COUNT)))
    assert [v for _, v in told] == [[]] * COUNT
    assert model.asked == 0


def test_pairs_are_scored_at_the_rate_that_was_asked_for() -> None:
    model = Told()
    list(judge([frame(i, p) for i, p in enumerate(moving(100))], model, Faces([[face()]] * 100), rate_hz=5))
    assert 18 <= model.asked <= 21


def test_what_repeats_itself_is_told_of_every_face() -> None:
    shown = [frame(i, p) for i, p in enumerate(moving())]

    def looped(frame: object) -> Reason:
        return Reason.LOOPED

    story = detect(
        shown,
        Faces([[face(), face(10, 10, 50)]] * COUNT),
        Tracker(),
        Pairer(CONTRACT),
        PairScorer(Told(), CONTRACT),
        Window(CONTRACT),
        looped,
    )
    assert [v.reason for v in list(story)[-1][1]] == [Reason.LOOPED, Reason.LOOPED]


def test_no_pair_is_scored_twice_or_lost() -> None:
    scored: list[Pair] = []

    def score(ready: Sequence[Pair]) -> NDArray[np.float32]:
        scored.extend(ready)
        return np.full(len(ready), 0.5, np.float32)

    shown = [frame(i, p) for i, p in enumerate(moving())]
    faces = Faces([[face(place(i))] for i in range(COUNT)])
    told = list(detect(shown, faces, Tracker(), Pairer(CONTRACT), score, Window(CONTRACT)))
    assert [p.pts_s for p in scored] == [f.pts_s for f in shown[2:]]
    assert told[-1][1][0].pairs == len(scored)
