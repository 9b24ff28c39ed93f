"""The bundled model's recipe as one command: its steps, in order, and what is not done twice."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import create_autospec

import pytest

from export import reproduce as module
from stream.cli import main
from train.bank import DECODERS, INDEX

STEPS = ("synthesize", "fit", "decoders", "average", "prepare", "bands", "export_checkpoint", "calibrate")


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[object, ...], dict[str, object]]]:
    """What was called, instead of hours of it."""
    calls: list[tuple[str, tuple[object, ...], dict[str, object]]] = []

    def replace(step: str) -> None:
        def called(*arguments: object, **options: object) -> int:
            calls.append((step, arguments, options))
            return 0

        monkeypatch.setattr(module, step, create_autospec(getattr(module, step), side_effect=called))

    for step in STEPS:
        replace(step)
    return calls


def clips(folder: Path, *rows: str) -> Path:
    """A manifest of clips, each ``PART LABEL``; the files are there, and empty."""
    lines = ["path,label,method,identity,pair"]
    for k, row in enumerate(rows):
        part, label = row.split()
        (folder / part).mkdir(exist_ok=True)
        (folder / part / f"{k}.mp4").touch()
        lines.append(f"{part}/{k}.mp4,{label},,p{k},")
    manifest = folder / "clips.csv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


BOTH = ("train real", "train fake", "dev real", "dev fake")


def reproduce(*words: object) -> object:
    with pytest.raises(SystemExit) as ended:
        main(["reproduce", *map(str, words)])
    return ended.value.code


def test_each_step_takes_what_the_ones_before_left(
    done: list[tuple[str, tuple[object, ...], dict[str, object]]], tmp_path: Path
) -> None:
    out, manifest = tmp_path / "out", clips(tmp_path, *BOTH)
    assert not reproduce(manifest, out, "--stills", "stills.csv", "--set", "epochs=1", "--accelerator", "cpu")
    fitting = {"changes": ("epochs=1",), "workers": 2, "accelerator": "cpu"}
    trained = str(out / "trunk" / "best.pt")
    assert done == [
        (
            "synthesize",
            (manifest, out / "bank"),
            {"only": "train/", "stills": Path("stills.csv"), "face_model": "yunet"},
        ),
        ("fit", (out / "bank", out / "trunk"), {"recipe": "flowtell-trunk", **fitting}),
        ("decoders", (out / "bank",), {}),
        ("fit", (out / "bank", out / "run"), {"recipe": "flowtell", "weights": trained, **fitting}),
        ("average", (Path(trained), out / "run" / "best.pt"), {"out": out / "mean.pt"}),
        ("prepare", (manifest, out / "store"), {"only": "train/", "pairs": "24", "size": 112, "margin": 0.1}),
        ("bands", (out / "mean.pt", out / "store"), {"out": out / "bands.pt"}),
        ("export_checkpoint", (out / "bands.pt", out / "int8.onnx"), {"precision": "int8", "store": out / "store"}),
        ("calibrate", (out / "int8.onnx", manifest, out / "flowtell.onnx"), {"only": "dev/"}),
    ]


def test_a_bank_and_its_decoders_are_not_made_twice(
    done: list[tuple[str, tuple[object, ...], dict[str, object]]], tmp_path: Path
) -> None:
    bank = tmp_path / "bank"
    bank.mkdir()
    (bank / INDEX).touch()
    (bank / DECODERS).touch()
    assert not reproduce(clips(tmp_path, *BOTH), tmp_path)
    assert [step for step, _, _ in done] == ["fit", "fit", *STEPS[3:]]


def test_a_class_that_is_missing_is_said_before_hours_of_work(
    done: list[tuple[str, tuple[object, ...], dict[str, object]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce(clips(tmp_path, *BOTH[:3]), tmp_path / "out")
    assert "holds no fake clips" in capsys.readouterr().err
    assert not done
