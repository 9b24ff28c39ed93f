"""The command line: every mistake is one sentence on standard error and a documented exit code, nothing else."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import av
import pytest

from stream.cli import missing_extra
from stream.contract import Contract
from tests.clips import write_clip
from tests.conftest import Flowtell, command, environment
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of things that cannot be used."""
    path = tmp_path_factory.mktemp("bad")
    (path / "text.mp4").write_text("this is no video")
    (path / "empty.mp4").touch()
    (path / "not.onnx").write_text("this is no model")
    (path / "there.mp4").write_bytes(b"precious")
    tiny_model(path / "plain.onnx", Contract(size=64), metadata="[]")
    tiny_model(
        path / "newer.onnx", Contract(size=64), metadata=Contract().to_json().replace('"version": ', '"version": 9')
    )
    write_clip(path / "faceless.mp4", 30)
    return path


def sentence_of(stderr: str) -> str:
    """The one sentence in which the command said why it ended; the lines on device and window are no complaint."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("flowtell: device:", "flowtell: no window"))]
    assert len(told) == 1, stderr
    return told[0].removeprefix("flowtell: ")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["watch"], 2, "give either sources to watch or --config FILE"),
        (["watch", "a.mp4", "--config", "b.toml"], 2, "give either sources to watch or --config FILE"),
        (["watch", "a.mp4", "--wrong"], 2, "--wrong"),
        (["watch", "a.mp4", "--duration", "-1"], 2, "--duration"),
        (["watch", "a.mp4", "--device", "tpu"], 2, "--device"),
        (["watch", "a.mp4", "--rate", "0"], 2, "--rate must be a number of pairs a second above 0, or 'all'"),
        (["watch", "ftp://host/x"], 2, "cannot be read: flowtell reads rtsp, rtsps, http, https, webcams and files"),
        (["watch", "{place}/none.mp4"], 3, "no file"),
        (["watch", "{place}/text.mp4"], 3, "is not a video that can be read"),
        (["watch", "{place}/empty.mp4"], 3, "is not a video that can be read"),
        (["watch", "rtsp://u:hunter2@127.0.0.1:{port}/cam"], 3, "refuses the connection"),
        (["watch", "{place}/faceless.mp4"], 4, "no face could be scored"),
        (["watch", "{clip}", "--model", "{place}/none.onnx"], 5, "no model at"),
        (["watch", "{clip}", "--model", "{place}/not.onnx"], 5, "is not an ONNX model"),
        (["watch", "{clip}", "--model", "{place}/plain.onnx"], 5, "contract is not a JSON object"),
        (["watch", "{clip}", "--model", "{place}/newer.onnx"], 5, "contract has version"),
        (["watch", "{clip}", "--face-model", "{place}/none.onnx"], 5, "no face model at"),
        (["watch", "{clip}", "--face-model", "{place}/not.onnx"], 5, "is not a YuNet face model"),
        (["watch", "{clip}", "--record", "{place}/there.mp4"], 7, "exists already"),
        (["watch", "{clip}", "--record", "{place}/none/out.mp4"], 7, "there is no folder"),
        (["watch", "{clip}", "--json", "{place}/none/out.jsonl"], 7, "cannot write"),
        (["watch", "{clip}", "--json", "/dev/full"], 7, "No space left on device"),
        (["check"], 2, "give at least one file to check"),
        (["check", "{place}/none.mp4"], 3, "no file"),
        (["check", "{place}/faceless.mp4"], 4, "no face could be scored (no face)"),
        (["check", "{clip}", "--model", "{place}/not.onnx"], 5, "is not an ONNX model"),
        (["models", "pull", "unknown"], 2, "yunet"),
        (["nonsense"], 2, "nonsense"),
        (["rtsp://u:hunter2@host/live"], 2, "Unknown command"),
        (["watch", "rtsp:/u:hunter2@host/live"], 2, "two slashes"),
        (["watch", "{clip}", "--duration", "rtsp://u:hunter2@host/live"], 2, "--duration"),
        (["check", "rtsp://u:hunter2@host/live"], 3, "no file"),
    ],
)
def test_a_mistake_is_one_sentence_and_its_exit_code(
    arguments: Sequence[str],
    code: int,
    told: str,
    flowtell: Flowtell,
    model_file: Path,
    face_clip: Path,
    place: Path,
) -> None:
    if "/dev/full" in arguments and not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    filled = [a.format(place=place, clip=face_clip, port=free_port()) for a in arguments]
    if arguments[0] in ("watch", "check") and "--model" not in arguments:
        filled += ["--model", str(model_file)]
    done = flowtell(*filled)
    assert told in sentence_of(done.stderr)
    assert done.returncode == code
    assert "hunter2" not in done.stderr + done.stdout
    assert (place / "there.mp4").read_bytes() == b"precious"


@pytest.mark.parametrize(
    "arguments", [["check", "{clip}"], ["check", "{clip}", "--json"], ["doctor"], ["models", "list"]]
)
def test_a_full_disk_behind_standard_output_is_one_sentence(
    arguments: Sequence[str], model_file: Path, face_clip: Path
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    filled = [a.format(clip=face_clip) for a in arguments]
    if arguments[0] != "models":
        filled += ["--model", str(model_file)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command(*filled),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=300,
            check=False,
            env=environment(),
        )
    assert sentence_of(done.stderr) == "the output cannot be written: No space left on device"
    assert done.returncode == 7


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
def test_a_file_whose_name_is_no_text_is_judged(
    tmp_path: Path, flowtell: Flowtell, model_file: Path, face_clip: Path
) -> None:
    odd = tmp_path / os.fsdecode(b"\xff.mp4")
    odd.write_bytes(face_clip.read_bytes())
    assert flowtell("check", odd, "--model", model_file).returncode == 0
    assert flowtell("watch", odd, odd, "--model", model_file).returncode == 0


def test_cuda_that_is_not_there_is_an_error(flowtell: Flowtell, model_file: Path, face_clip: Path) -> None:
    done = flowtell("watch", face_clip, "--device", "cuda", "--model", model_file)
    if done.returncode == 0:
        pytest.skip("CUDA is there")
    assert done.returncode == 6
    assert "--device cuda cannot be had" in sentence_of(done.stderr)


def test_auto_says_which_device_it_took_and_why(flowtell: Flowtell, model_file: Path, face_clip: Path) -> None:
    done = flowtell("watch", face_clip, "--model", model_file)
    assert done.returncode == 0
    assert done.stderr.startswith(("flowtell: device: cpu (no CUDA: ", "flowtell: device: cuda ("))


def test_without_a_display_watching_says_so_and_goes_on(flowtell: Flowtell, model_file: Path, face_clip: Path) -> None:
    done = flowtell("watch", face_clip, "--window", "--model", model_file)
    assert done.returncode == 0
    assert "no window: no display (neither DISPLAY nor WAYLAND_DISPLAY is set); watching goes on" in done.stderr
    assert "REAL" in done.stdout


def test_a_display_that_is_not_there_costs_the_window_only(
    flowtell: Flowtell, model_file: Path, face_clip: Path
) -> None:
    done = flowtell("watch", face_clip, "--realtime", "--model", model_file, DISPLAY=":987")
    assert done.returncode == 0
    assert "the window is lost" in done.stderr
    assert "REAL" in done.stdout


def test_check_tells_every_file_and_leaves_with_the_first_failure(
    flowtell: Flowtell, model_file: Path, face_clip: Path, place: Path
) -> None:
    files = [place / "none.mp4", face_clip, place / "faceless.mp4", place / "text.mp4"]
    done = flowtell("check", *files, "--json", "--model", model_file)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(Path(t["file"]).name, t["verdict"], t["reason"]) for t in told] == [
        ("face.mp4", "REAL", None),
        ("faceless.mp4", "UNSURE", "no face"),
    ]
    assert set(told[0]) == {"file", "verdict", "p_fake", "pairs", "reason", "tracks"}
    assert set(told[0]["tracks"][0]) == {"track", "verdict", "p_fake", "pairs", "first_s", "last_s"}
    assert told[1]["p_fake"] is None
    assert [line.split()[1] for line in done.stderr.splitlines() if line.strip()] == [
        "no",
        f"{files[2]}:",
        f"{files[3]}",
    ]
    assert done.returncode == 3


def test_check_prints_a_table(flowtell: Flowtell, model_file: Path, face_clip: Path) -> None:
    done = flowtell("check", face_clip, "--model", model_file)
    assert done.returncode == 0
    assert "face.mp4" in done.stdout.replace("\n", "") or "verdict" in done.stdout
    assert "REAL" in done.stdout and done.stderr.strip() == ""


def test_watching_a_file_prints_changes_and_records_them(
    flowtell: Flowtell, model_file: Path, face_clip: Path, tmp_path: Path
) -> None:
    json_path, video = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    done = flowtell("watch", face_clip, "--json", json_path, "--record", video, "--model", model_file)
    assert done.returncode == 0
    assert [line.split("face 1  ")[1].split()[0] for line in done.stdout.splitlines()] == ["UNSURE", "REAL", "GONE"]
    records = [json.loads(line) for line in json_path.read_text().splitlines()]
    assert records[0]["play"] == "connecting" and records[-1]["play"] == "ended"
    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 75


def test_json_on_standard_output_is_nothing_but_json(flowtell: Flowtell, model_file: Path, face_clip: Path) -> None:
    done = flowtell("watch", face_clip, "--json", "-", "--model", model_file)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert {record["type"] for record in records} == {"face", "status"}
    assert {record["camera"] for record in records} == {"face.mp4"}


def test_a_dead_camera_costs_the_others_nothing(
    flowtell: Flowtell, model_file: Path, face_clip: Path, place: Path
) -> None:
    done = flowtell("watch", place / "text.mp4", face_clip, "--json", "-", "--model", model_file)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    ends = {r["camera"]: r["play"] for r in records if r["type"] == "status"}
    assert ends == {"1: text.mp4": "failed", "2: face.mp4": "ended"}
    assert max(r["pts_s"] for r in records if r["camera"] == "2: face.mp4" and r["pts_s"]) == 2.96
    assert done.returncode == 3
    assert "the other cameras go on" in sentence_of(done.stderr)


def test_cameras_of_a_file_have_their_names_in_the_records(
    flowtell: Flowtell, model_file: Path, face_clip: Path, tmp_path: Path
) -> None:
    config = tmp_path / "cameras.toml"
    config.write_text(
        f'[[camera]]\nname = "a"\nsource = "{face_clip}"\n[[camera]]\nname = "b"\nsource = "{face_clip}"\n'
    )
    done = flowtell("watch", "--config", config, "--json", "-", "--model", model_file)
    faces = [r for line in done.stdout.splitlines() if (r := json.loads(line))["type"] == "face"]
    assert {record["camera"] for record in faces} == {"a", "b"}
    assert done.returncode == 0


def test_version_and_help_import_no_torch_and_no_network(flowtell: Flowtell) -> None:
    assert flowtell("--version").stdout.strip()[0].isdigit()
    told = flowtell("--help").stdout
    assert all(name in told for name in ("watch", "check", "demo", "doctor", "models", "train", "export", "bench"))


def test_a_missing_optional_package_says_what_to_install() -> None:
    cause = ModuleNotFoundError("No module named 'torch'", name="torch.nn")
    error = ImportError("Cannot import module 'train.cli'")
    error.__cause__ = cause
    missing = missing_extra(error)
    assert missing is not None and missing.exit_code == 9
    assert str(missing) == "this command needs torch, which is not installed: pip install 'flowtell[train]'"
    assert missing_extra(ModuleNotFoundError("no", name="something_else")) is None


def test_train_without_torch_says_what_to_install(flowtell: Flowtell, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n")
    done = flowtell("train", "fit", tmp_path, tmp_path / "run", PYTHONPATH=str(tmp_path))
    if done.returncode == 2:
        pytest.skip("train fit takes other arguments")
    assert done.returncode == 9
    assert "pip install 'flowtell[train]'" in sentence_of(done.stderr)


def test_demo_prints_what_the_model_says_of_both_parts(flowtell: Flowtell, model_file: Path) -> None:
    done = flowtell("demo", "--no-window", "--model", model_file)
    assert done.returncode == 0
    assert "as it is until 7 s, with a pasted face from there on" in done.stderr
    assert "face 1  REAL" in done.stdout


def test_doctor_says_what_is_missing_and_how_to_mend_it(flowtell: Flowtell, model_file: Path, tmp_path: Path) -> None:
    well = flowtell("doctor", "--model", model_file, XDG_CACHE_HOME=str(tmp_path))
    assert well.returncode == 0, well.stdout
    assert "finds 1 of the 1 face in the demo clip" in well.stdout
    assert "flowtell models pull yunet" in well.stdout
    ill = flowtell("doctor", "--model", tmp_path / "none.onnx", XDG_CACHE_HOME=str(tmp_path))
    assert ill.returncode == 1
    assert "BAD model" in ill.stdout and "-> install flowtell anew, or give --model FILE" in ill.stdout


def test_models_list_tells_what_was_not_pulled(flowtell: Flowtell, tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("the cache folder is elsewhere here")
    assert flowtell("models", "list", XDG_CACHE_HOME=str(tmp_path)).stdout.strip().endswith("not pulled")
