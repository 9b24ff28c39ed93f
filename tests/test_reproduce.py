"""The bundled model's recipe as one command: its steps, in order, and what is not done twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from export import reproduce as module
from stream.cli import main
from train.bank import DECODERS

STEPS = ("synthesize", "fit", "decoders", "average", "prepare", "bands", "export_checkpoint", "calibrate")


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[object, ...], dict[str, object]]]:
    """What was called, instead of hours of it."""
    calls: list[tuple[str, tuple[object, ...], dict[str, object]]] = []

    def replace(step: str) -> None:
        def called(*arguments: object, **options: object) -> int:
            calls.append((step, arguments, options))
            return 0

        monkeypatch.setattr(module, step, called)

    for step in STEPS:
        replace(step)
    return calls


def reproduce(*words: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["reproduce", *map(str, words)])
    assert ended.value.code == 0


def test_each_step_takes_what_the_ones_before_left(
    done: list[tuple[str, tuple[object, ...], dict[str, object]]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    reproduce("clips.csv", out, "--stills", "stills.csv", "--set", "epochs=1", "--accelerator", "cpu")
    fitting = {"changes": ("epochs=1",), "workers": 2, "accelerator": "cpu"}
    manifest, trained = Path("clips.csv"), str(out / "trunk" / "best.pt")
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
    (bank / "index.json").touch()
    (bank / DECODERS).touch()
    reproduce("clips.csv", tmp_path)
    assert [step for step, _, _ in done] == ["fit", "fit", *STEPS[3:]]
