"""``flowtell train`` as a user types it: files in, files and exit codes out, one sentence where something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny import tiny_model
from trainset import portrait_video

from stream.cli import main
from stream.contract import Contract
from train.manifest import read_manifest
from train.store import open_store

HEAD = "path,label,method,identity,pair\n"


def flowtell(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(a) for a in arguments])
    return int(left.value.code or 0)


def test_videos_become_a_store_and_a_model_is_judged_on_it_and_on_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    portrait_video(tmp_path / "a.mp4")
    portrait_video(tmp_path / "b.mp4", fake=True)
    (tmp_path / "c.mp4").write_text("no video")
    manifest = tmp_path / "m.csv"
    manifest.write_text(HEAD + "a.mp4,real,,ann,v\nb.mp4,fake,blur,ann,v\nc.mp4,fake,blur,bob,\n")
    assert flowtell("train", "prepare", manifest, tmp_path / "store", "--pairs", 3, "--size", 32) == 0
    told = capsys.readouterr().err
    assert "c.mp4: " in told and "2 clips prepared, 0 there already, 1 bad" in told
    assert [s.pairs for s in open_store(tmp_path / "store").clips] == [3, 3]

    model = tiny_model(tmp_path / "m.onnx", Contract(size=32))
    assert flowtell("train", "evaluate", model, tmp_path / "store", "--json", tmp_path / "store.json") == 0
    assert flowtell("train", "evaluate", model, manifest, "--json", tmp_path / "live.json", "--workers", 1) == 0
    assert "AUC, by clip" in capsys.readouterr().out
    stored, live = (json.loads((tmp_path / name).read_text()) for name in ("store.json", "live.json"))
    assert stored["counts"] == {"clips": 2, "fake": 1, "real": 1, "pairs": 6, "people": 1, "unscored": 0}
    assert [row["clip"] for row in live["unscored"]] == ["c.mp4"]
    assert live["paired"]["couples"] == 1
    assert flowtell("train", "evaluate", model, tmp_path / "store", "--every-pair") == 2
    assert "leave out --pairs, --every-pair and --face-model" in capsys.readouterr().err


def test_when_no_clip_gives_pairs_each_says_why_and_the_exit_code_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ab":
        (tmp_path / f"{name}.mp4").write_text("no video")
    (tmp_path / "m.csv").write_text(HEAD + "a.mp4,real,,,\nb.mp4,fake,,,\n")
    assert flowtell("train", "prepare", tmp_path / "m.csv", tmp_path / "store", "--workers", 1) == 8
    told = capsys.readouterr().err
    assert "a.mp4: " in told and "b.mp4: " in told and "none of the 2 clips gave pairs" in told


def test_a_split_writes_manifests_that_share_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{i}.mp4,{'fake' if i % 2 else 'real'},,p{i // 2}," for i in range(20)]
    (tmp_path / "m.csv").write_text(HEAD + "\n".join(rows) + "\n")
    for i in range(20):
        (tmp_path / f"{i}.mp4").touch()
    assert flowtell("train", "split", tmp_path / "m.csv", tmp_path / "parts", "--shares", "60/40") == 0
    assert capsys.readouterr().out == "train: 6 real, 6 fake\nvalid: 4 real, 4 fake\n"
    people = [
        {i for c in read_manifest(tmp_path / "parts" / f"{p}.csv") for i in c.identities} for p in ("train", "valid")
    ]
    assert not people[0] & people[1]


def test_part_of_a_manifest_can_be_taken_by_its_folder(tmp_path: Path) -> None:
    for name in ("train/a", "train/b", "dev/c", "dev/d"):
        (tmp_path / f"{name}.mp4").parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.mp4").touch()
    rows = "train/a.mp4,real,,,\ntrain/b.mp4,fake,,,\ndev/c.mp4,real,,,\ndev/d.mp4,fake,,,\n"
    (tmp_path / "m.csv").write_text(HEAD + rows)
    assert [c.name for c in read_manifest(tmp_path / "m.csv", only="dev/")] == ["dev/c.mp4", "dev/d.mp4"]
    assert flowtell("train", "split", tmp_path / "m.csv", tmp_path / "parts", "--only", "test/") == 8


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["train", "prepare", "none.csv", "s"], 8, "no manifest none.csv"),
        (["train", "prepare", "none.csv", "s", "--pairs", "many"], 8, "no manifest"),
        (["train", "split", "none.csv", "s", "--shares", "a/b"], 2, "--shares takes numbers"),
        (["train", "split", "none.csv", "s", "--shares", "100"], 2, "two or three numbers"),
        (["train", "fit", "none", "run", "--recipe", "none"], 2, "no recipe 'none'"),
        (["train", "fit", "none", "run", "--set", "speed=1"], 2, "unknown keys speed"),
        (["train", "fit", "none", "run", "--weights", "none"], 8, "none is no pair store"),
        (["train", "evaluate", "none.onnx", "none.csv"], 5, "no model at none.onnx"),
        (["train", "evaluate", "m.onnx", "m.csv", "--report", "r", "--json", "j"], 2, "leave out --json and --pairs"),
        (["train", "evaluate", "m.onnx", "m.csv", "--report", "r", "--pairs", "3"], 2, "leave out --json and --pairs"),
        (["train", "evaluate", "m.onnx", "m.csv", "--quick"], 2, "give --report DIR as well"),
        (["train", "evaluate", "m.onnx", "m.csv", "--workers", "0"], 2, "--workers"),
        (["train", "fit", "none", "run", "--workers", "-1"], 2, "--workers"),
        (["train", "evaluate", "none.pt", "none.csv"], 5, "no file none.pt"),
        (["export", "none.pt", "out.onnx"], 5, "no file none.pt"),
    ],
)
def test_what_cannot_work_is_one_sentence_and_an_exit_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert flowtell(*arguments) == code
    told = capsys.readouterr().err
    assert says in told and len(told.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
