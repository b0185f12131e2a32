"""Values of each type: what is taken, what is refused and why."""

from __future__ import annotations

import msgspec
import polars as pl
import pytest

from opsplane.files import Column, Entity
from opsplane.files.checks import Checks
from opsplane.files.entity import EntityRejected
from opsplane.files.mapping import Mapped


def judged(column: Column, *values: str | None, unguard: bool = False) -> list[str | None]:
    """For each value the code of what is wrong, None for a good one."""
    frame = pl.DataFrame(
        {"line": range(len(values)), "record": [value or "" for value in values], "c0": values},
        schema={"line": pl.Int64, "record": pl.String, "c0": pl.String},
    )
    bad = Checks([Mapped(0, column)], field_bytes=50).run(frame, unguard=unguard).bad
    codes = {line: msgspec.json.decode(reasons)[0]["code"] for line, _, reasons in bad.iter_rows()}
    return [codes.get(line) for line in range(len(values))]


def coerced(column: Column, value: str | None, *, unguard: bool = False) -> str | None:
    frame = pl.DataFrame(
        {"line": [1], "record": [""], "c0": [value]},
        schema={"line": pl.Int64, "record": pl.String, "c0": pl.String},
    )
    good = Checks([Mapped(0, column)], field_bytes=50).run(frame, unguard=unguard).good
    text: str | None = good["x"].item()
    return text


GOOD = {
    "int": ["0", "-5", "+7", " 12 ", "9223372036854775807", ""],
    "decimal": ["0", "1.50", "-.5", "+3.", "0.000000000000000001", " 2 "],
    "float": ["1", "1e3", "-2.5E-7", ".5"],
    "bool": ["true", "FALSE", "yes", "n", "1", "0", "On", " off "],
    "date": ["2026-01-31", "2024-02-29"],
    "timestamp": [
        "2026-01-31T12:00Z",
        "2026-01-31 12:00:00.123456",
        "2026-01-31T12:00:00+05:30",
        "2026-01-31T12:00:00-0800",
    ],
    "uuid": ["01a20e00-0000-7000-8000-000000000000", "01A20E00000070008000000000000000"],
    "json": ["{}", "[1, 2]", "null", '"x"', "1.5"],
}
BAD = {
    "int": ("not_an_integer", ["1.0", "1e3", "x", "9223372036854775808", "١٢", "0x1F", "1_000", "--1"]),
    "decimal": ("not_a_decimal", ["1,50", "1e3", "NaN", "Infinity", ".", "1.2.3", "$1"]),
    "float": ("not_a_number", ["nan", "inf", "1e", "e3", "1,5"]),
    "bool": ("not_a_bool", ["maybe", "2", "oui"]),
    "date": ("not_a_date", ["2026-02-30", "31.01.2026", "2026-1-3", "2026-01-31T00:00", "2023-02-29"]),
    "timestamp": ("not_a_timestamp", ["2026-01-31", "2026-01-31T25:00", "2026-02-30T12:00Z", "noon"]),
    "uuid": ("not_a_uuid", ["01a20e00", "g1a20e00-0000-7000-8000-000000000000"]),
    "json": ("not_json", ["{", "{'a': 1}", "nul", '"\\u0000"']),
}


@pytest.mark.parametrize("kind", GOOD)
def test_good_values(kind: str) -> None:
    column = Column("x", kind)  # type: ignore[arg-type]
    assert judged(column, None, *GOOD[kind]) == [None] * (len(GOOD[kind]) + 1)


@pytest.mark.parametrize("kind", BAD)
def test_bad_values(kind: str) -> None:
    code, values = BAD[kind]
    assert judged(Column("x", kind), *values) == [code] * len(values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        (Column("x", "int"), "  ", None),
        (Column("x"), "  ", "  "),
        (Column("x", "bool"), " YES ", "yes"),
        (Column("x", "uuid"), "01A20E00000070008000000000000000", "01a20e00000070008000000000000000"),
        (Column("x", default="EUR"), None, "EUR"),
        (Column("x", default="EUR"), "USD", "USD"),
        (Column("x"), "", ""),
    ],
)
def test_what_a_value_becomes(column: Column, value: str | None, expected: str | None) -> None:
    assert coerced(column, value) == expected


@pytest.mark.parametrize(
    ("column", "good", "bad", "code"),
    [
        (Column("x", required=True), "a", None, "required"),
        (Column("x", required=True), "a", "", "required"),
        (Column("x", key=True), "a", None, "required"),
        (Column("x", "int", required=True), "0", " ", "required"),
        (Column("x", max_length=3), "äöü", "äöüß", "max_length"),
        (Column("x", min_length=2), "ab", "a", "min_length"),
        (Column("x", pattern="[A-Z]+|x"), "ABC", "AB1", "pattern"),
        (Column("x", pattern="[A-Z]+|x"), "x", "xy", "pattern"),
        (Column("x", enum=("book", "toy")), "toy", "Toy", "enum"),
        (Column("x", currency=True), "EUR", "EURO", "currency"),
        (Column("x", "int", min=0), "0", "-1", "min"),
        (Column("x", "int", max=9), "9", "10", "max"),
        (Column("x", "int", max=9), "+9", "+10", "max"),
        (Column("x", "float", max="1e3"), "1e3", "1.1e3", "max"),
        (Column("x", "decimal", max=10), "+9.99", "9" * 28, "max"),
        (Column("x", "decimal", min="0.01"), "0.01", "0.009", "min"),
        (Column("x", "decimal", scale=2), "1.500", "1.505", "scale"),
        (Column("x", "date", min="1990-01-01"), "1990-01-01", "1989-12-31", "min"),
        (Column("x"), "x" * 50, "x" * 51, "field_too_long"),
        (Column("x"), "ä" * 25, "ä" * 26, "field_too_long"),
    ],
)
def test_rules_of_a_column(column: Column, good: str, bad: str | None, code: str) -> None:
    assert judged(column, good, bad) == [None, code]


def test_bounds_of_decimals_are_exact() -> None:
    column = Column("x", "decimal", max="0.1", min="-9007199254740993")
    assert judged(column, "0.1", "0.10000000000000001", "-9007199254740993", "-9007199254740994") == [
        None, "max", None, "min",
    ]  # fmt: skip


def test_the_guard_of_an_export_is_taken_off() -> None:
    column = Column("x", "int")
    assert judged(column, "'-5", unguard=True) == [None]
    assert judged(column, "'-5") == ["not_an_integer"]
    assert coerced(Column("x"), "'=1+1", unguard=True) == "=1+1"
    assert coerced(Column("x"), "''=1+1", unguard=True) == "'=1+1"
    for text in ("'tis", "''", "''tis", "'"):
        assert coerced(Column("x"), text, unguard=True) == text


def test_a_message_quotes_the_value_and_every_column_is_told_once() -> None:
    columns = [Column("x", "int", min=5), Column("y", pattern="[a-z]+", max_length=3)]
    frame = pl.DataFrame({"line": [7], "record": ["r"], "c0": ["four"], "c1": ["UPPER"]})
    mapped = [Mapped(place, column) for place, column in enumerate(columns)]
    [(line, record, reasons)] = Checks(mapped, 100).run(frame, unguard=False).bad.iter_rows()
    told = [(one["column"], one["code"]) for one in msgspec.json.decode(reasons)]
    assert (line, record) == (7, "r")
    assert told == [("x", "not_an_integer"), ("y", "max_length")]
    assert "“four”" in reasons


def test_a_key_given_twice_counts_once_with_its_last_row() -> None:
    columns = [Column("k", key=True), Column("v")]
    frame = pl.DataFrame(
        {"line": [2, 3, 4], "record": ["", "", ""], "c0": ["b", "a", "b"], "c1": ["1", "2", "3"]}
    )
    mapped = [Mapped(place, column) for place, column in enumerate(columns)]
    good = Checks(mapped, 100).run(frame, unguard=False).good
    assert good.rows() == [(3, "a", "2"), (4, "b", "3")]


@pytest.mark.parametrize(
    "columns",
    [
        (),
        (Column("x"), Column("x")),
        (Column("x y"),),
        (Column("x", "string", min="1"),),
        (Column("x", "int", pattern="1"),),
        (Column("x", key=True, generated=True),),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(columns: tuple[Column, ...]) -> None:
    with pytest.raises(EntityRejected):
        Entity("thing", "thing", columns)
