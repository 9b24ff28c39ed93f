"""The notebook's sampling: which frames, the very pictures that full decoding gives, one box for both of a pair."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from trainset import portrait_video

from stream.contract import Contract
from stream.errors import SourceBroken, SourceNotFound, UsageError
from stream.faces import HaarFaces, find_faces
from stream.pairing import cut
from stream.records import Face, Frame
from stream.sources import read_file
from train.bench_prepare import Cost, compare, join, prepare
from train.sampling import TO_LEARN, TO_TEST, Notebook, count_frames, frames_at


def plain_video(path: Path, frames: int, options: dict[str, str]) -> Path:
    """Small frames that differ, with B-frames and key frames as ``options`` say."""
    rng = np.random.default_rng(0)
    base = cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), (64, 48))
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"threads": "1", **options})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(np.roll(base, 2 * i, axis=1), format="bgr24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("sampling", "frames", "starts"),
    [
        (TO_LEARN, 201, tuple(range(0, 160, 16))),
        (TO_LEARN, 200, tuple(range(0, 80, 8))),
        (TO_TEST, 201, tuple(range(0, 120, 4))),
        (TO_TEST, 200, tuple(range(0, 60, 2))),
        (TO_LEARN, 30, (0, 8, 16, 24)),
        (TO_LEARN, 25, (0, 8, 16)),
        (Notebook(3, 16, 8, apart=4), 20, (0, 8)),
        (TO_LEARN, 1, ()),
    ],
)
def test_the_pairs_start_where_the_notebook_took_them(sampling: Notebook, frames: int, starts: tuple[int, ...]) -> None:
    assert sampling.starts(frames) == starts


@pytest.mark.parametrize(
    "options",
    [
        {"bf": "3", "g": "250"},
        {"bf": "3", "g": "12", "x264-params": "open-gop=1:scenecut=0"},
        {"bf": "2", "g": "10"},
        {"bf": "0", "g": "250"},
    ],
)
def test_the_frames_are_those_of_full_decoding_wherever_key_frames_lie(tmp_path: Path, options: dict[str, str]) -> None:
    path = plain_video(tmp_path / "v.mp4", 60, options)
    every = list(read_file(path))
    assert count_frames(path) == len(every) == 60
    wanted = [0, 1, 13, 29, 30, 47, 59]
    found = list(frames_at(path, wanted))
    assert [frame.index for frame in found] == wanted
    for frame in found:
        np.testing.assert_array_equal(frame.picture.bgr(), every[frame.index].picture.bgr())


def test_groups_without_a_wanted_frame_are_not_even_decoded(tmp_path: Path) -> None:
    path = plain_video(tmp_path / "v.mp4", 60, {"bf": "0", "g": "10"})
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.pts is not None]
    for pos, size in packets[:50]:  # five of six groups are noise from here on
        content[pos : pos + size] = b"\xff" * size
    path.write_bytes(bytes(content))
    assert [frame.index for frame in frames_at(path, [55])] == [55]


class _Seen:
    """Haar, which tells what it was shown."""

    name = "haar"

    def __init__(self) -> None:
        self.shown: list[int] = []
        self._haar = HaarFaces()

    def __call__(self, frame: Frame) -> list[Face]:
        self.shown.append(frame.index)
        return self._haar(frame)


def test_only_the_first_frame_of_each_pair_is_searched_and_both_are_cut_with_its_box(tmp_path: Path) -> None:
    path, faces, contract = portrait_video(tmp_path / "v.mp4", frames=14), _Seen(), Contract(size=64)
    pairs = Notebook(3, 16, 5)(path, contract, faces)
    assert faces.shown == [0, 5, 10] and len(pairs) == 3
    every = list(read_file(path))
    for pair, start in zip(pairs, (0, 5, 10), strict=True):
        assert pair.gap_s == pytest.approx(0.04) and pair.pts_s == pytest.approx((start + 1) / 25)
        for crop, frame in ((pair.first, every[start]), (pair.second, every[start + 1])):
            np.testing.assert_array_equal(crop, cut(frame.picture, pair.box, contract.margin, 64))


def test_a_frame_can_end_one_pair_and_begin_the_next(tmp_path: Path) -> None:
    pairs = Notebook(4, 16, 1)(portrait_video(tmp_path / "v.mp4", frames=5), Contract(size=32), find_faces())
    assert [round(pair.pts_s * 25) for pair in pairs] == [1, 2, 3, 4]


def test_a_video_without_a_face_gives_no_pairs(tmp_path: Path) -> None:
    assert Notebook()(plain_video(tmp_path / "v.mp4", 20, {}), Contract(), find_faces()) == []


def test_what_is_no_video_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"no video")
    with pytest.raises(SourceBroken, match="is not a video"):
        count_frames(tmp_path / "v.mp4")
    with pytest.raises(SourceNotFound, match="no file"):
        count_frames(tmp_path / "w.mp4")


def test_impossible_samplings_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        Notebook(0)


def test_two_samplings_of_one_name_are_one(tmp_path: Path) -> None:
    assert TO_LEARN.name == Notebook(10, 16, 8).name != TO_TEST.name


def test_the_comparison_gives_both_ways_the_same_pairs_at_a_part_of_the_cost(tmp_path: Path) -> None:
    clip = portrait_video(tmp_path / "clip.mp4", frames=10)
    cost = compare(join([clip], tmp_path / "joined.mp4", frames=24), Notebook(3, 8, 8))
    assert cost.notebook_pairs == cost.our_pairs == 3
    assert cost.share < 0.5


def test_the_bench_writes_each_video_and_their_sum_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.mp4").touch()
    monkeypatch.setattr("train.bench_prepare.join", lambda clips, out: out)
    monkeypatch.setattr("train.bench_prepare.compare", lambda path, *given: Cost(path.name, 4.0, 10, 0.25, 9))
    prepare(tmp_path, videos=2, out=tmp_path / "cost.json")
    told, written = capsys.readouterr(), json.loads((tmp_path / "cost.json").read_text())
    assert told.out == "" and "preparing 2 videos of 250 frames" in told.err
    one = {"notebook_s": 4.0, "notebook_pairs": 10, "our_s": 0.25, "our_pairs": 9, "share": 0.062}
    assert written["videos"] == [{"video": "0.mp4", **one}, {"video": "1.mp4", **one}]
    assert written["all"] == {
        "video": "all", "notebook_s": 8.0, "notebook_pairs": 20, "our_s": 0.5, "our_pairs": 18, "share": 0.062
    }  # fmt: skip
    assert written["sampling"] == TO_LEARN.name and written["machine"]["cores"] > 0
    prepare(tmp_path, videos=2)
    assert json.loads(capsys.readouterr().out)["all"] == written["all"]
