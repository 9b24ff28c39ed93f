"""What the README promises is what there is: commands, exit codes, fields, options, the folder map."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import stream
from stream import errors
from stream.check import FileVerdict, TrackVerdict
from stream.demo import CLIP
from stream.overlay import _HELP
from stream.sinks.jsonl import SCHEMA

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_runs_the_readmes_own_test_command() -> None:
    commands = [line for line in README.splitlines() if "-m pytest" in line]
    assert len(commands) == 1
    assert 'grep -F -- "-m pytest" README.md' in (ROOT / ".ci" / "run").read_text()


def test_every_exit_code_is_documented() -> None:
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.FlowtellError)]
    documented = {int(code) for code in re.findall(r"^\| (\d) \|", README, re.MULTILINE)}
    assert documented == {kind.exit_code for kind in kinds} | {0}


@pytest.mark.parametrize("index", [0, 1])
def test_every_field_of_the_json_lines_is_documented(index: int) -> None:
    schema = json.loads(SCHEMA.read_text())["oneOf"][index]
    table = README.split(f"| `{schema['title']}` |")[1].split("\n\n")[0]
    first = "".join(re.findall(r"^\| ([^|]*) \|", table, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", first)) == set(schema["required"]) == set(schema["properties"])


def test_every_field_of_check_is_documented() -> None:
    text = README.split("## Checking files")[1].split("##")[0]
    fields = set(FileVerdict.__dataclass_fields__) | set(TrackVerdict.__dataclass_fields__)
    assert fields <= set(re.findall(r"`(\w+)`", text))


def test_every_key_of_the_window_is_documented() -> None:
    table = README.split("| key | |")[1].split("\n\n")[0]
    assert table.count("\n| ") == len(_HELP)


def test_the_python_example_is_the_packages_own() -> None:
    example = README.split("```python")[1].split("```")[0].strip()
    assert example in textwrap.dedent((stream.__doc__ or "").partition("\n")[2])


def test_every_module_stands_in_the_folder_map() -> None:
    here = ROOT / "stream"
    names = {p.name for p in here.glob("*.py") if p.name != "__init__.py"}
    names |= {f"{p.name}/" for p in here.iterdir() if (p / "__init__.py").is_file()}
    told = set(re.findall(r"`([\w]+(?:\.py|/))`", README.split("## Architecture")[1]))
    assert names <= told | {"stream/"}, sorted(names - told)


def test_the_first_screen_shows_a_picture_and_ships_a_small_clip() -> None:
    picture = re.search(r"!\[[^\]]+\]\(([^)]+)\)", README[:2000])
    assert picture is not None and (ROOT / picture.group(1)).stat().st_size < 300_000
    assert CLIP.stat().st_size <= 1_000_000


def test_importing_stream_brings_no_training_package() -> None:
    watching = "import stream, stream.watch, stream.cli, sys"
    code = f"{watching}; print([m for m in ('torch', 'train', 'export') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
