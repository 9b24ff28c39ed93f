"""What may import what: who only watches needs no torch, and imports point one way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NEVER = ("torch", "torchvision", "lightning", "lightning_fabric", "onnx", "sklearn", "matplotlib", "train", "export")


def imported(statements: str) -> set[str]:
    """The top-level modules that a fresh Python holds after some statements."""
    code = f"{statements}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def modules() -> list[str]:
    files = (p.relative_to(ROOT).with_suffix("") for p in sorted((ROOT / "stream").rglob("*.py")))
    return [".".join(f.parts).removesuffix(".__init__") for f in files]


def test_no_module_of_stream_imports_torch_or_train_or_export() -> None:
    assert not imported("\n".join(f"import {name}" for name in modules())) & set(NEVER)


def test_the_command_line_starts_without_torch_or_train_or_export() -> None:
    assert not imported("import stream.cli") & set(NEVER)


@pytest.mark.parametrize("statement", [f"import {name}" for name in ("torch", "torchvision", "train", "export")])
def test_the_linter_refuses_such_an_import_in_stream(statement: str) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--stdin-filename", "stream/new.py", "-"]
    done = subprocess.run(command, input=f"{statement}\n", capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert "TID251" in done.stdout


def test_train_imports_nothing_of_export() -> None:
    for file in sorted((ROOT / "train").rglob("*.py")):
        lines = file.read_text(encoding="utf-8").splitlines()
        wrong = [line for line in lines if line.lstrip().startswith(("import export", "from export"))]
        assert not wrong, f"{file.name}: {wrong}"
