"""The benchmarks' own arithmetic, exact; what they time is run once on a small clip, for its shape only."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from skimage.data import astronaut

from stream.bench.cameras import Seen, Trial, watch_cameras
from stream.bench.clip import clip, make_clip
from stream.bench.density import in_time, search
from stream.bench.equivalence import Both, agreement, clips
from stream.bench.picture import draw, svg
from stream.bench.pipeline import compare, run_peer
from stream.bench.runs import child, medians, percentiles, report, run
from stream.bench.stages import STAGES, StopWatch, Way, decode, measure
from stream.check import FileVerdict
from stream.contract import Contract
from stream.errors import DataError, OutputError, UsageError
from stream.looks import Look, Play, Status
from stream.pictures import ArrayPicture
from stream.records import Box, Frame, Reason, State, Verdict
from stream.sources import read_file
from tests.tiny import tiny_model

GRAY = ArrayPicture(np.full((8, 8, 3), 90, np.uint8))


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of the astronaut at 320x240."""
    folder = tmp_path_factory.mktemp("bench")
    with av.open(str(folder / "still.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 512, 512, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(astronaut(), format="rgb24")))
        container.mux(stream.encode(None))
    return make_clip(folder / "still.mp4", folder / "clip.mp4", (320, 240), 25, 1.0, share=1.0)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model(tmp_path / "m.onnx", Contract(size=32))


def test_a_made_clip_has_the_size_rate_and_length_asked_for(portrait: Path) -> None:
    frames = list(read_file(portrait))
    assert len(frames) == 25 and (frames[0].picture.width, frames[0].picture.height) == (320, 240)
    assert frames[24].pts_s - frames[0].pts_s == pytest.approx(0.96)


@pytest.mark.parametrize(
    ("size", "seconds", "share"), [("big", 1, 1), ("320", 1, 1), ("320x240", 0, 1), ("320x240", 1, 2)]
)
def test_a_clip_that_cannot_be_made_is_refused(
    portrait: Path, tmp_path: Path, size: str, seconds: float, share: float
) -> None:
    with pytest.raises(UsageError):
        clip(portrait, tmp_path / "out.mp4", size=size, seconds=seconds, share=share)


def test_stages_count_frames_and_pairs_and_add_up_to_the_whole(portrait: Path, model: Path) -> None:
    figures = measure(portrait, Way(str(model), rate_hz=None, device="cpu"))
    assert figures["frames"] == 25 and figures["pairs"] > 15 and figures["device"] == "cpu"
    assert set(figures["stages_ms"]) == {*STAGES, "rest"}
    assert sum(figures["stages_ms"].values()) == pytest.approx(figures["cpu_ms"], abs=0.01)
    fewer = measure(portrait, Way(str(model), rate_hz=10, device="cpu"))
    assert 8 <= fewer["pairs"] <= 10
    assert decode(portrait, 10)["frames"] == 10


def test_a_child_process_gives_the_same_figures_by_name(portrait: Path) -> None:
    figures = child("stream.bench.stages", {"clip": str(portrait), "frames": 5, "way": None})
    assert figures["frames"] == 5 and {"cpu_ms", "wall_ms", "peak_mb"} < set(figures)


def test_a_command_that_fails_is_told_with_its_last_words() -> None:
    with pytest.raises(UsageError, match="the peer failed: out of ink"):
        run([sys.executable, "-c", "raise SystemExit('first line\\nout of ink')"], "the peer")


def test_time_inside_another_stage_is_taken_off_that_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "thread_time", lambda: now[0])
    watch = StopWatch()

    def spend(seconds: float) -> None:
        now[0] += seconds

    model = watch.wrap("model", lambda: spend(3.0))

    def fuse() -> None:
        spend(1.0)
        model()
        spend(1.5)

    watch.wrap("fuse", fuse)()
    assert list(watch.items("decode", [1, 2])) == [1, 2]
    assert dict(watch.spent_s) == {"model": 3.0, "fuse": 2.5, "decode": 0.0}


def test_medians_are_taken_inside_nested_figures_too() -> None:
    runs = [{"ms": ms, "stages": {"a": ms * 2}, "device": "cpu"} for ms in (1.0, 9.0, 3.0)]
    assert medians(runs) == {"ms": 3.0, "stages": {"a": 6.0}, "device": "cpu"}


def test_percentiles_of_nothing_are_none() -> None:
    assert percentiles([]) == {"p50": None, "p95": None, "p99": None, "most": None}
    assert percentiles(range(101)) == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "most": 100.0}


def test_candidates_run_in_turn_and_are_set_beside_decoding_and_peers() -> None:
    order: list[str] = []

    def once(name: str, ms: float) -> dict[str, float]:
        order.append(name)
        return {"cpu_ms": ms * len(order)}

    figures = compare(
        {
            "decoding alone": lambda: once("decoding", 1.0),
            "default rate": lambda: once("ours", 1.0),
            "peer notebook": lambda: once("peer", 10.0),
        },
        runs=3,
    )
    assert order == ["decoding", "ours", "peer"] * 3
    # the medians are those of the second round: 4, 5 and 60
    assert figures["times_decoding"] == {"decoding alone": 1.0, "default rate": 1.25}
    assert figures["cheaper_than"] == {"peer notebook": {"decoding alone": 15.0, "default rate": 12.0}}


def test_a_peers_own_figures_are_read_from_its_last_words(tmp_path: Path) -> None:
    peer = tmp_path / "peer.py"
    peer.write_text(
        "import sys\nprint(f'frames {sys.argv[2]} pairs 9 cpu_s_per_frame 0.3500 wall_s_per_frame 0.2000')\n"
    )
    assert run_peer(peer, Path("clip.mp4"), 10) == {"frames": 10, "pairs": 9, "cpu_ms": 350.0, "wall_ms": 200.0}
    peer.write_text("print('done')\n")
    with pytest.raises(UsageError, match="did not print"):
        run_peer(peer, Path("clip.mp4"), 10)


@pytest.mark.parametrize("largest", range(0, 18))
def test_the_search_finds_the_largest_number_that_fits(largest: int) -> None:
    tried: list[int] = []

    def fits(count: int) -> bool:
        tried.append(count)
        return count <= largest

    assert search(fits, 16) == min(largest, 16)
    assert len(tried) == len(set(tried)) and max(tried) <= 16


def test_a_trial_fits_only_in_time_with_its_pairs_and_without_errors() -> None:
    good = {"latency_ms": {"p95": 300.0}, "pairs_on_time": 0.99, "errors": []}
    assert in_time(good, 300, 0.99)
    for worse in (
        {"latency_ms": {"p95": 300.1}},
        {"latency_ms": {"p95": None}},
        {"pairs_on_time": 0.98},
        {"errors": ["x"]},
    ):
        assert not in_time({**good, **worse}, 300, 0.99)


def _look(index: int, arrived_s: float, now_s: float, reason: Reason | None = None) -> Look:
    frame = Frame(index, index * 0.04, GRAY, arrived_s=arrived_s)
    state = State.UNSURE if reason else State.REAL
    verdict = Verdict(1, state, reason, 0.1, 9, frame.pts_s, 0.0, Box(0, 0, 4, 4))
    return Look(frame, True, (verdict,), Status("a", "a", Play.PLAYING), now_s)


def test_latency_age_and_planned_pairs_are_counted_after_the_warm_up() -> None:
    seen = Seen(rate_hz=10.0, from_s=101.0)
    seen.take(_look(0, 100.0, 100.01, Reason.WARMING_UP), scored=0)
    seen.take(_look(10, 100.9, 100.95), scored=5)
    seen.take(_look(20, 101.0, 101.02), scored=6)
    seen.take(_look(30, 101.1, 101.13), scored=8)
    assert seen.first_verdict_s == pytest.approx(0.95)
    assert seen.latency_ms == pytest.approx([20, 30]) and seen.age_ms == pytest.approx([120, 130])
    assert seen.planned == pytest.approx(8) and seen.scored == 3 and seen.frames == 2


def test_two_cameras_are_watched_at_once(portrait: Path, model: Path) -> None:
    figures = watch_cameras(Trial((str(portrait),) * 2, seconds=0.5, model=str(model), device="cpu"))
    assert figures["cameras"] == 2 and figures["errors"] == []
    assert {"latency_ms", "age_ms", "pairs_on_time", "worst_camera_on_time", "peak_mb"} < set(figures)


def _said(p_fake: float | None, verdict: State) -> FileVerdict:
    return FileVerdict("x.mp4", verdict, p_fake, 9, None, ())


def test_agreement_tells_differences_and_turned_verdicts() -> None:
    figures = agreement(
        [
            Both(_said(0.1, State.REAL), _said(0.12, State.REAL)),
            Both(_said(0.55, State.FAKE), _said(0.45, State.REAL)),
            Both(_said(0.5, State.UNSURE), _said(0.5, State.FAKE)),
            Both(_said(None, State.UNSURE), _said(0.5, State.UNSURE)),
        ]
    )
    assert (figures["clips"], figures["scored_on_both"], figures["scored_on_one"]) == (4, 3, 1)
    assert (figures["mean_difference"], figures["largest_difference"]) == (0.04, 0.1)
    assert (figures["verdicts_turned"], figures["verdicts_changed"]) == (0.25, 0.5)


def test_a_manifest_names_the_clips_of_one_split(tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,label\ndev/a.mp4,real\ntrain/b.mp4,fake\n")
    assert clips(manifest, "dev") == [tmp_path / "dev/a.mp4"] and len(clips(manifest, None)) == 2
    with pytest.raises(DataError, match="names no clip in 'test'"):
        clips(manifest, "test")
    manifest.write_text("file\na.mp4\n")
    with pytest.raises(DataError, match="column 'path'"):
        clips(manifest, None)
    with pytest.raises(DataError, match="cannot be read"):
        clips(tmp_path / "none.csv", None)


def test_the_picture_draws_every_stage_on_one_scale(tmp_path: Path) -> None:
    text = svg({"ours": {"decode": 2.0, "model": 2.0}, "a <peer>": {"decode": 8.0}})
    assert 'width="560.0"' in text and text.count('width="140.0"') == 2 and "a &lt;peer&gt;" in text
    draw({"ours": {"decode": 1.0}}, tmp_path / "deep" / "p.svg")
    with pytest.raises(OutputError):
        draw({"ours": {"decode": 1.0}}, tmp_path)


def test_a_report_is_json_in_a_file_or_on_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report({"ms": 1}, tmp_path / "deep" / "out.json")
    report({"ms": 2}, None)
    assert json.loads((tmp_path / "deep" / "out.json").read_text()) == {"ms": 1}
    assert json.loads(capsys.readouterr().out) == {"ms": 2}
    with pytest.raises(OutputError):
        report({}, tmp_path)
