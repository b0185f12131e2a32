from __future__ import annotations

import json

import msgspec
import pytest
import yaml

from opsplane.cli.output import emit, printable

ROWS = [{"name": "order", "pid": 7, "labels": ["a", "b"]}, {"name": "søk", "pid": None, "labels": []}]


def test_json_and_yaml_hold_everything(capsys: pytest.CaptureFixture[str]) -> None:
    emit(ROWS, "json")
    assert json.loads(capsys.readouterr().out) == ROWS
    emit(ROWS, "yaml")
    assert yaml.safe_load(capsys.readouterr().out) == ROWS


def test_table_has_aligned_columns_in_the_wanted_order(capsys: pytest.CaptureFixture[str]) -> None:
    emit(ROWS, "table", columns=("pid", "name"))
    assert capsys.readouterr().out.splitlines() == ["PID  NAME", "7    order", "     søk"]


def test_name_prints_one_name_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    emit([*ROWS, {"id": "t-1", "status": "x"}, "plain"], "name")
    assert capsys.readouterr().out.splitlines() == ["order", "søk", "t-1", "plain"]


def test_empty_table_prints_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    emit([], "table")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "Nothing to show.\n"
    emit([], "json")
    assert json.loads(capsys.readouterr().out) == []


def test_structs_and_mappings_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    class Thing(msgspec.Struct):
        name: str
        ready: bool

    emit(Thing("a", True), "table")
    assert capsys.readouterr().out.splitlines() == ["name   a", "ready  yes"]


def test_control_characters_do_nothing_to_the_terminal() -> None:
    assert printable("red\x1b[31m\nline\u202e") == "red�[31m�line�"
