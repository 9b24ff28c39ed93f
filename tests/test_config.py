"""Cameras from the command line and from TOML: every mistake is told with its line and key, no password is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.config import Defaults, from_arguments, read_config
from stream.errors import UsageError
from stream.sources import SourceOptions, open_source

DEFAULTS = Defaults(SourceOptions(), 10.0)

GOOD = """\
# two cameras
[[camera]]
name = "door"
source = "rtsp://viewer:{password}@192.0.2.7/stream1"
password_env = "DOOR"
rtsp_transport = "udp"
rate = "all"

[[camera]]
name = "yard 2"
source = 0
rate = 5
"""


def read(path: Path, text: str, defaults: Defaults = DEFAULTS, **environment: str) -> list[object]:
    file = path / "cameras.toml"
    file.write_text(text)
    return list(read_config(file, defaults, environment))


def test_cameras_are_read_with_their_own_options(tmp_path: Path) -> None:
    (tmp_path / "cameras.toml").write_text(GOOD)
    defaults = Defaults(SourceOptions(patient=True), 10.0, Path("out.mp4"))
    door, yard = read_config(tmp_path / "cameras.toml", defaults, {"DOOR": "p@ss/word"})
    assert (door.name, door.uri, door.rate_hz) == ("door", "rtsp://viewer:p%40ss%2Fword@192.0.2.7/stream1", None)
    assert (door.options.rtsp_transport, door.options.patient) == ("udp", True)
    assert (yard.uri, yard.rate_hz, yard.options.rtsp_transport) == ("0", 5.0, "tcp")
    assert (door.record, yard.record) == (Path("out-door.mp4"), Path("out-yard_2.mp4"))


def test_a_password_comes_from_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    text = GOOD.replace('password_env = "DOOR"', 'password_file = "secret"')
    (tmp_path / "cameras.toml").write_text(text)
    assert "viewer:s3cret@" in read_config(tmp_path / "cameras.toml", DEFAULTS, {})[0].uri


def test_a_cameras_password_is_neither_in_its_repr_nor_in_its_sources_name(tmp_path: Path) -> None:
    (tmp_path / "cameras.toml").write_text(GOOD)
    door = read_config(tmp_path / "cameras.toml", DEFAULTS, {"DOOR": "hunter2"})[0]
    assert "hunter2" not in repr(door) and "hunter2" not in open_source(door.uri).name


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("rate = 5", 'rate = "often"'), r':12: rate: must be a number above 0 and at most 1000, or "all"'),
        (("rate = 5", "rate = 0"), r':12: rate: must be a number above 0 and at most 1000, or "all"'),
        (("rate = 5", "rate = inf"), r":12: rate: must be a number above 0 and at most 1000"),
        (("rate = 5", "rate = nan"), r":12: rate: must be a number above 0 and at most 1000"),
        (("rate = 5", "rate = true"), r":12: rate: must be a whole number or a number or"),
        (("rate = 5", "rates = 5"), r":12: rates: unknown; a camera knows name, source"),
        (('"udp"', '"smoke"'), r":6: rtsp_transport: must be one of tcp, udp"),
        (('name = "yard 2"', 'name = "door"'), r":10: name: 'door' is taken"),
        (('name = "yard 2"', ""), r":9: name: missing"),
        (("source = 0", "source = ' '"), r":11: source: missing"),
        (('password_env = "DOOR"', ""), r":4: source: \{password\} goes with exactly one of password_env and"),
        (('"DOOR"', '"GATE"'), r":5: password_env: the environment variable GATE is not set"),
        (('password_env = "DOOR"', 'password_file = "none"'), r":5: password_file: cannot read none"),
        (("# two cameras", "cameras = 2"), r":1: cameras: unknown; give \[\[camera\]\] tables"),
        (("rate = 5", "rate = = 5"), r"is not TOML: .*line 12"),
    ],
)
def test_a_mistake_is_told_with_line_and_key(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    assert change[0] in GOOD
    with pytest.raises(UsageError, match=told):
        read(tmp_path, GOOD.replace(*change), DOOR="x")


@pytest.mark.parametrize("text", ["", "camera = 3\n", "camera = []\n"])
def test_a_file_without_cameras_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="camera"):
        read(tmp_path, text)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_config(tmp_path / "none.toml", DEFAULTS)
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(UsageError, match="UTF-8"):
        read_config(tmp_path / "latin.toml", DEFAULTS)


def test_a_password_file_that_is_no_text_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r":5: password_file: raw is not a text in UTF-8"):
        read(tmp_path, GOOD.replace('password_env = "DOOR"', 'password_file = "raw"'))


def test_several_sources_get_numbers_and_recordings_of_their_own() -> None:
    cameras = from_arguments(("rtsp://a:b@host/1", "clips/x.mp4"), Defaults(SourceOptions(), None, Path("r/out.mp4")))
    assert [camera.name for camera in cameras] == ["1: rtsp://***@host/1", "2: x.mp4"]
    assert [camera.record for camera in cameras] == [Path("r/out-1.mp4"), Path("r/out-2.mp4")]


def test_one_source_keeps_its_name_and_recording() -> None:
    (camera,) = from_arguments(("clips/x.mp4",), Defaults(SourceOptions(), None, Path("out.mp4")))
    assert (camera.name, camera.record) == ("x.mp4", Path("out.mp4"))
