"""The cameras of the command line, or of a TOML file; every mistake is told with its line and key.

[[camera]]
name = "door"
source = "rtsp://viewer:{password}@192.0.2.7/stream1"
password_env = "DOOR_PASSWORD"       # or password_file = "door.password"
rtsp_transport = "udp"               # also: hwaccel, realtime, rate (a number or "all"), record
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

from .errors import UsageError
from .sources import SourceOptions, open_source
from .sources.base import HwAccel, Transport
from .watch import Camera

PASSWORD = "{password}"
MOST_RATE_HZ = 1000.0
_KINDS: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "source": (str, int),
    "password_env": (str,),
    "password_file": (str,),
    "rtsp_transport": (str,),
    "hwaccel": (str,),
    "realtime": (bool,),
    "rate": (int, float, str),
    "record": (str,),
}
_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
_CHOICES: dict[str, tuple[str, ...]] = {"rtsp_transport": get_args(Transport), "hwaccel": get_args(HwAccel)}


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the command line's options say, for every camera that says nothing else."""

    reading: SourceOptions
    rate_hz: float | None
    record: Path | None = None


def from_arguments(sources: Sequence[str], defaults: Defaults) -> list[Camera]:
    """A camera for each source, named after it; with several, each recording has its camera's number in its name."""
    cameras: list[Camera] = []
    for number, uri in enumerate(sources, 1):
        name, record = open_source(uri, defaults.reading).name, defaults.record
        name = name if "://" in name else Path(name).name
        if len(sources) > 1:
            name = f"{number}: {name}"
            record = record and record.with_stem(f"{record.stem}-{number}")
        cameras.append(Camera(name, uri, defaults.reading, defaults.rate_hz, record))
    return cameras


def read_config(path: Path, defaults: Defaults, environment: Mapping[str, str] | None = None) -> list[Camera]:
    """The cameras of a TOML file. environment: where passwords are, the process's own by default.

    Raises:
        UsageError: the file cannot be read, or a value cannot be meant; with line and key.
    """
    try:
        text = path.read_text(encoding="utf-8")
        value = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a text in UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    if unknown := sorted(value.keys() - {"camera"}):
        raise UsageError(f"{path}:{_line_of_key(text, unknown[0])}: {unknown[0]}: unknown; give [[camera]] tables")
    tables = value.get("camera")
    if not isinstance(tables, list) or not tables:
        raise UsageError(f"{path}:1: camera: missing; give at least one [[camera]] table")
    cameras: list[Camera] = []
    for index, table in enumerate(tables):
        entry = _Entry(path, text, index, table, os.environ if environment is None else environment)
        camera = entry.camera(defaults)
        if any(camera.name == other.name for other in cameras):
            raise entry.wrong("name", f"{camera.name!r} is taken: every camera needs its own")
        cameras.append(camera)
    return cameras


class _Entry:
    """One [[camera]] table and where it stands."""

    def __init__(self, path: Path, text: str, index: int, table: Any, environment: Mapping[str, str]) -> None:
        self._path = path
        self._text = text
        self._index = index
        self._table: dict[str, Any] = table if isinstance(table, dict) else {}
        self._environment = environment
        if not isinstance(table, dict):
            raise self.wrong("camera", "each must be a [[camera]] table")

    def wrong(self, key: str, what: str) -> UsageError:
        return UsageError(f"{self._path}:{self._line(key)}: {key}: {what}")

    def camera(self, defaults: Defaults) -> Camera:
        for key, value in self._table.items():
            self._check(key, value)
        for key in ("name", "source"):
            if not str(self._table.get(key, "")).strip():
                raise self.wrong(key, "missing")
        name, rate = str(self._table["name"]), self._table.get("rate")
        record, rate_hz = defaults.record, defaults.rate_hz
        options = {k: self._table[k] for k in ("rtsp_transport", "hwaccel", "realtime") if k in self._table}
        if "record" in self._table:
            record = Path(self._table["record"])
        elif record is not None:
            record = record.with_stem(f"{record.stem}-{re.sub(r'[^A-Za-z0-9._-]', '_', name)}")
        if rate is not None:
            rate_hz = None if rate == "all" else float(rate)
        return Camera(name, self._uri(), replace(defaults.reading, **options), rate_hz, record)

    def _check(self, key: str, value: Any) -> None:
        if key not in _KINDS:
            raise self.wrong(key, f"unknown; a camera knows {', '.join(_KINDS)}")
        if not isinstance(value, _KINDS[key]) or (isinstance(value, bool) and bool not in _KINDS[key]):
            kinds = " or ".join(
                {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false"}[k.__name__]
                for k in _KINDS[key]
            )
            raise self.wrong(key, f"must be {kinds}")
        if key in _CHOICES and value not in _CHOICES[key]:
            raise self.wrong(key, f"must be one of {', '.join(_CHOICES[key])}")
        if key == "rate" and not (value == "all" or (isinstance(value, int | float) and 0 < value <= MOST_RATE_HZ)):
            raise self.wrong(key, f'must be a number above 0 and at most {MOST_RATE_HZ:g}, or "all"')

    def _uri(self) -> str:
        uri, password = str(self._table["source"]), self._password()
        if (PASSWORD in uri) != (password is not None):
            raise self.wrong("source", f"{PASSWORD} goes with exactly one of password_env and password_file")
        return uri if password is None else uri.replace(PASSWORD, quote(password, safe=""))

    def _password(self) -> str | None:
        env, file = self._table.get("password_env"), self._table.get("password_file")
        if env is not None and file is not None:
            raise self.wrong("password_file", "give it or password_env, not both")
        if env is not None:
            if env not in self._environment:
                raise self.wrong("password_env", f"the environment variable {env} is not set")
            return str(self._environment[env])
        if file is not None:
            try:
                return Path(self._path.parent, file).read_text(encoding="utf-8").rstrip("\r\n")
            except OSError as error:
                raise self.wrong("password_file", f"cannot read {file} ({error.strerror})") from error
            except UnicodeDecodeError as error:
                raise self.wrong("password_file", f"{file} is not a text in UTF-8") from error
        return None

    def _line(self, key: str) -> int:
        """The line of a key of this table, or that of its header."""
        headers = [n for n, line in enumerate(self._text.splitlines(), 1) if re.match(r"\s*\[\[\s*camera\s*\]\]", line)]
        if self._index >= len(headers):
            return 1
        start = headers[self._index]
        end = headers[self._index + 1] - 1 if self._index + 1 < len(headers) else None
        return _line_of_key(self._text, key, start, end) or start


def _line_of_key(text: str, key: str, start: int = 1, end: int | None = None) -> int:
    """The first line from ``start`` to ``end`` that sets ``key`` or is its table's header, 0 where none does."""
    pattern = re.compile(rf"\s*\[*\s*[\"']?{re.escape(key)}[\"']?\s*(=|\]|\.)")
    for number, line in enumerate(text.splitlines()[start - 1 : end], start):
        if pattern.match(line):
            return number
    return 0
