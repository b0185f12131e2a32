"""One event is one JSON line, whatever is in it, and secrets are not in it."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from opsplane.telemetry import configure_logging, counter, gauge, get_logger, render_metrics

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    configure_logging("worker", stream)
    yield stream
    root.handlers[:], root.level = before, level
    structlog.reset_defaults()


def test_event_is_one_line_with_fields(lines: io.StringIO) -> None:
    get_logger("tasks").info("tasks.claimed", count=3, text="zwei\nZeilen \u2028 \x1b[31m")
    (line,) = (
        lines.getvalue().splitlines() if "\u2028" not in lines.getvalue() else [lines.getvalue().rstrip("\n")]
    )
    event = json.loads(line)
    assert (event["event"], event["room"], event["process"], event["count"]) == (
        "tasks.claimed",
        "tasks",
        "worker",
        3,
    )
    assert lines.getvalue().count("\n") == 1


def test_secrets_are_not_logged(lines: io.StringIO) -> None:
    get_logger("web").info("web.signed_in", token="canary-1", Authorization="canary-2", user="alice")
    assert "canary" not in lines.getvalue()
    assert "alice" in lines.getvalue()


def test_records_of_libraries_arrive(lines: io.StringIO) -> None:
    logging.getLogger("some.library").warning("it said %s", "this")
    assert json.loads(lines.getvalue())["text"] == "it said this"


def test_metric_is_declared_once() -> None:
    first = counter("planted_total", "A planted counter.", ["kind"])
    assert counter("planted_total", "A planted counter.", ["kind"]) is first
    first.labels("x").inc()
    assert b'planted_total{kind="x"} 1.0' in render_metrics()
    with pytest.raises(TypeError, match="planted_total"):
        gauge("planted_total", "Not a counter.")


def test_every_naughty_string_is_one_line_of_printable_text(lines: io.StringIO) -> None:
    naughty = json.loads((DATA / "blns" / "blns.json").read_text(encoding="utf-8"))
    naughty += ["\x85", "\u2029", "\x9b31m", "\u202e", "\ud800", "a\x7fb"]
    for text in naughty:
        get_logger("web").warning("web.refused", text=text, **{f"name {text}": 1})
    written = lines.getvalue()
    written.encode()
    assert [json.loads(line)["text"] for line in written.splitlines()] == naughty
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]", written)
