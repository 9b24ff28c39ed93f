"""JSON lines: when records are made, what is in them, and that they keep to the schema."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from stream.errors import OutputError
from stream.looks import Look, Play, Status
from stream.records import Box, Reason, State, Verdict
from stream.sinks.jsonl import SCHEMA, JsonLines, Record, Reporter

VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text()))


def verdict(state: State = State.REAL, reason: Reason | None = None, track: int = 1) -> Verdict:
    return Verdict(track, state, reason, 0.25, 12, 3.5, 0.05, Box(-3, 20, 110, 110))


def look(now_s: float, *verdicts: Verdict, play: Play = Play.PLAYING, message: str | None = None) -> Look:
    return Look(None, True, verdicts, Status("door", "rtsp://***@host/1", play, message, frame_age_s=0.02), now_s)


def faces(records: list[Record]) -> list[tuple[int, str, str | None]]:
    return [(r["track"], r["state"], r["reason"]) for r in records if r["type"] == "face"]


def test_a_face_is_told_when_it_appears_when_it_changes_and_once_a_second() -> None:
    reporter = Reporter()
    told = {}
    for tenth in range(25):
        state = (State.UNSURE, Reason.WARMING_UP) if tenth < 5 else (State.REAL, None)
        told[tenth] = faces(reporter.records(look(tenth / 10, verdict(*state))))
    assert {tenth: records for tenth, records in told.items() if records} == {
        0: [(1, "UNSURE", "warming up")],
        5: [(1, "REAL", None)],
        15: [(1, "REAL", None)],
    }


def test_a_new_reason_is_a_change() -> None:
    reporter = Reporter()
    reporter.records(look(0, verdict(State.UNSURE, Reason.WARMING_UP)))
    assert faces(reporter.records(look(0.1, verdict(State.UNSURE, Reason.UNDECIDED)))) == [(1, "UNSURE", "undecided")]


def test_a_face_that_is_gone_is_told_once() -> None:
    reporter = Reporter()
    reporter.records(look(0, verdict(), verdict(track=2)))
    assert faces(reporter.records(look(0.1, verdict(track=2)))) == [(1, "GONE", None)]
    assert faces(reporter.records(look(0.2, verdict(track=2)))) == []


def test_status_is_told_once_a_second_and_when_it_changes() -> None:
    reporter = Reporter()
    plays = [Play.CONNECTING, Play.PLAYING, Play.PLAYING, Play.STALLED]
    times = [0.0, 0.2, 1.3, 1.4]
    told = [reporter.records(look(t, play=p)) for t, p in zip(times, plays, strict=True)]
    assert [[r["play"] for r in records] for records in told] == [["connecting"], ["playing"], ["playing"], ["stalled"]]
    assert reporter.records(look(1.5, play=Play.STALLED)) == []


@pytest.mark.parametrize("state", list(State))
def test_every_record_keeps_to_the_schema_and_carries_the_frames_age(state: State, tmp_path: Path) -> None:
    reason = None if state in (State.REAL, State.FAKE) else Reason.NO_FRAMES
    reporter, path = Reporter(), tmp_path / "out.jsonl"
    with JsonLines(str(path)) as sink:
        sink.write(reporter.records(look(0, verdict(state, reason), message="it is late")))
        sink.write(reporter.records(look(0.1)))
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [r["type"] for r in records] == ["face", "status", "face", "status"][: len(records)]
    for record in records:
        VALIDATOR.validate(record)
        assert record["frame_age_s"] == 0.02


@pytest.mark.parametrize("reason", list(Reason))
def test_the_schema_knows_every_reason(reason: Reason) -> None:
    assert reason.value in json.loads(SCHEMA.read_text())["oneOf"][0]["properties"]["reason"]["enum"]


def test_a_record_with_an_unknown_field_breaks_the_schema() -> None:
    record = {**Reporter().records(look(0))[0], "at": "2026-01-02T03:04:05.678Z"}
    assert VALIDATOR.is_valid(record)
    assert not VALIDATOR.is_valid({**record, "more": 1})


def test_records_are_added_to_a_file_that_exists_each_with_its_time(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text('{"before": 1}\n')
    with JsonLines(str(path), lambda: datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)) as sink:
        sink.write([{"type": "status"}])
        assert path.read_text() == '{"before": 1}\n{"type": "status", "at": "2026-01-02T03:04:05.678Z"}\n'


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*: No such file or directory"):
        JsonLines(str(tmp_path / "nowhere" / "out.jsonl"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_told() -> None:
    with pytest.raises(OutputError, match="No space left"), JsonLines("/dev/full") as sink:
        sink.write([{"type": "status"}])
