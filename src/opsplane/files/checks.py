from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import polars as pl

from opsplane.files.currencies import CURRENCIES
from opsplane.files.entity import Column
from opsplane.files.mapping import Mapped

LINE, RECORD = "line", "record"
GUARD = r"^'('*[=+\-@\t\r])"  # what exports and error files guard, and nothing else

_INT = r"^[+-]?[0-9]{1,19}$"
_DECIMAL = r"^[+-]?([0-9]{1,28}(\.[0-9]{0,18})?|\.[0-9]{1,18})$"
_FLOAT = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_TIME = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
    r"(Z|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)?$"
)
_UUID = r"^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$"
_ORDERED: dict[str, tuple[pl.DataType, ...]] = {
    "int": (pl.Int64(),),
    "decimal": (pl.Decimal(38, 18), pl.Float64()),
    "float": (pl.Float64(),),
    "date": (pl.Date(),),
}
_TRUE, _FALSE = ("true", "t", "yes", "y", "1", "on"), ("false", "f", "no", "n", "0", "off")


class Checked(NamedTuple):
    """Rows that may be applied (`line` and the table's columns, as text PostgreSQL reads), and those that may not.

    `bad` has `line`, `record` and `reasons` (JSON list of `{column, code, message}`).
    """

    good: pl.DataFrame
    bad: pl.DataFrame


class Rule(NamedTuple):
    """What makes a value wrong, and how that is told."""

    wrong: pl.Expr
    code: str
    message: str


BAD_SCHEMA = {LINE: pl.Int64, RECORD: pl.String, "reasons": pl.String}


class Checks:
    """The checks of an entity, compiled for the columns of one file."""

    def __init__(self, mapped: Sequence[Mapped], field_bytes: int) -> None:
        self._mapped = tuple(mapped)
        self._rules = [(one.column, _rules(one.column, field_bytes)) for one in mapped]

    def run(self, frame: pl.DataFrame, *, unguard: bool) -> Checked:
        """The rows of a chunk, coerced and divided. Blocks: call it in a thread."""
        values = self._values(frame, unguard)
        marks = values.select(
            rule.wrong.fill_null(value=False).alias(f"{column.name}\n{number}")
            for column, rules in self._rules
            for number, rule in enumerate(rules)
        )
        failed = [
            name for name, any_wrong in marks.select(pl.all().any()).row(0, named=True).items() if any_wrong
        ]
        good = values
        bad = pl.DataFrame(schema=BAD_SCHEMA)
        if failed:
            wrong = marks.select(pl.any_horizontal(failed)).to_series()
            bad = self._explained(frame, values, marks, failed, wrong)
            good = values.filter(~wrong)
        return Checked(self._final(good), bad)

    def _values(self, frame: pl.DataFrame, unguard: bool) -> pl.DataFrame:
        cells = []
        for one in self._mapped:
            cell = pl.col(f"c{one.place}")
            if unguard:
                cell = cell.str.replace(GUARD, "$1")
            cells.append(_prepared(cell, one.column).alias(one.column.target))
        return frame.select(pl.col(LINE), *cells)

    def _explained(
        self, frame: pl.DataFrame, values: pl.DataFrame, marks: pl.DataFrame, failed: list[str], wrong: pl.Series
    ) -> pl.DataFrame:  # fmt: skip
        rows = frame.select(LINE, RECORD).filter(wrong)
        marked, shown = marks.select(failed).filter(wrong), values.filter(wrong)
        reasons: list[dict[str, dict[str, str]]] = [{} for _ in range(rows.height)]
        rules = {column.name: rules for column, rules in self._rules}
        targets = {column.name: column.target for column, _ in self._rules}
        for mark in failed:
            name, _, number = mark.rpartition("\n")
            rule, cells = rules[name][int(number)], shown[targets[name]]
            for row in marked[mark].fill_null(value=False).arg_true().to_list():
                message = rule.message.replace("{}", _brief(cells[row]))
                reasons[row].setdefault(name, {"column": name, "code": rule.code, "message": message})
        told = [msgspec.json.encode(list(one.values())).decode() for one in reasons]
        return rows.with_columns(reasons=pl.Series(told, dtype=pl.String))

    def _final(self, good: pl.DataFrame) -> pl.DataFrame:
        """Keys that are given twice only once: the last row wins."""
        keys = [one.column.target for one in self._mapped if one.column.key]
        return good.unique(subset=keys, keep="last").sort(keys) if keys else good


def refused_frame(rows: Sequence[tuple[int, str, str, str, str]]) -> pl.DataFrame:
    """Bad rows from (line, record, column, code, message)."""
    told = [
        (line, record, msgspec.json.encode([{"column": column, "code": code, "message": message}]).decode())
        for line, record, column, code, message in rows
    ]
    return pl.DataFrame(told, schema=BAD_SCHEMA, orient="row")


def _prepared(cell: pl.Expr, column: Column) -> pl.Expr:
    if column.type == "string":
        value = cell
    else:
        value = cell.str.strip_chars()
        value = pl.when(value == "").then(None).otherwise(value)
    if column.type == "bool":
        value = value.str.to_lowercase()
    if column.type == "uuid":
        value = value.str.to_lowercase()
    if column.default is not None:
        value = value.fill_null(column.default)
    return value


def _rules(column: Column, field_bytes: int) -> list[Rule]:
    value = pl.col(column.target)
    rules = [
        Rule(
            value.str.len_bytes() > field_bytes,
            "field_too_long",
            f"The value has more than {field_bytes} bytes.",
        )
    ]
    if column.must:
        empty = value.is_null() | (value == "") if column.type == "string" else value.is_null()
        rules.append(Rule(empty, "required", "A value is required."))
    rules += _TYPES[column.type](column, value)
    rules += _bounds(column, value)
    return rules


def _string_rules(column: Column, value: pl.Expr) -> list[Rule]:
    rules = []
    if column.max_length is not None:
        text = f"The value has more than {column.max_length} characters."
        rules.append(Rule(value.str.len_chars() > column.max_length, "max_length", text))
    if column.min_length is not None:
        text = f"The value has less than {column.min_length} characters."
        rules.append(Rule(value.str.len_chars() < column.min_length, "min_length", text))
    if column.pattern is not None:
        text = f"{{}} does not match {column.pattern}."
        rules.append(Rule(~value.str.contains(f"^(?:{column.pattern})$"), "pattern", text))
    if column.enum:
        text = f"{{}} is none of: {', '.join(column.enum)}."
        rules.append(Rule(~value.is_in(list(column.enum)), "enum", text))
    if column.currency:
        rules.append(Rule(~value.is_in(CURRENCIES), "currency", "{} is no ISO 4217 currency code."))
    return rules


def _int_rules(_: Column, value: pl.Expr) -> list[Rule]:
    number = value.str.strip_prefix("+").cast(pl.Int64, strict=False)
    wrong = ~value.str.contains(_INT) | (value.is_not_null() & number.is_null())
    return [Rule(wrong, "not_an_integer", "{} is no whole number.")]


def _decimal_rules(column: Column, value: pl.Expr) -> list[Rule]:
    rules = [Rule(~value.str.contains(_DECIMAL), "not_a_decimal", "{} is no decimal number with a point.")]
    if column.scale is not None:
        text = f"{{}} has more than {column.scale} digits after the point."
        rules.append(Rule(value.str.contains(rf"\.[0-9]{{{column.scale}}}[0-9]*[1-9]"), "scale", text))
    return rules


def _date_rules(_: Column, value: pl.Expr) -> list[Rule]:
    day = value.str.to_date("%Y-%m-%d", strict=False)
    wrong = ~value.str.contains(_DATE) | (value.is_not_null() & day.is_null())
    return [Rule(wrong, "not_a_date", "{} is no date like 2026-01-31.")]


def _timestamp_rules(_: Column, value: pl.Expr) -> list[Rule]:
    day = value.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    wrong = ~value.str.contains(_TIME) | (value.is_not_null() & day.is_null())
    return [Rule(wrong, "not_a_timestamp", "{} is no time like 2026-01-31T12:00:00Z.")]


def _json_rules(_: Column, value: pl.Expr) -> list[Rule]:
    wrong = ~value.map_batches(_valid_json, return_dtype=pl.Boolean)
    return [Rule(wrong, "not_json", "The value is no JSON.")]


def _matching(expression: str, code: str, message: str) -> Callable[[Column, pl.Expr], list[Rule]]:
    return lambda _, value: [Rule(~value.str.contains(expression), code, message)]


_TYPES: dict[str, Callable[[Column, pl.Expr], list[Rule]]] = {
    "string": _string_rules,
    "int": _int_rules,
    "decimal": _decimal_rules,
    "float": _matching(_FLOAT, "not_a_number", "{} is no number."),
    "bool": lambda _, value: [
        Rule(~value.is_in([*_TRUE, *_FALSE]), "not_a_bool", "{} is neither true nor false.")
    ],
    "date": _date_rules,
    "timestamp": _timestamp_rules,
    "uuid": _matching(_UUID, "not_a_uuid", "{} is no UUID."),
    "json": _json_rules,
}


def _bounds(column: Column, value: pl.Expr) -> list[Rule]:
    rules = []
    if column.min is not None:
        wrong = _compared(column, value, str(column.min), operator.lt)
        rules.append(Rule(wrong, "min", f"{{}} is less than {column.min}."))
    if column.max is not None:
        wrong = _compared(column, value, str(column.max), operator.gt)
        rules.append(Rule(wrong, "max", f"{{}} is more than {column.max}."))
    return rules


def _compared(
    column: Column, value: pl.Expr, bound: str, compare: Callable[[pl.Expr, pl.Expr], pl.Expr]
) -> pl.Expr:
    """Whether `compare` holds; decimals are compared exactly up to twenty digits before the point."""
    *exact, last = _ORDERED[column.type]
    compared = [compare(_read(value, kind), _read(pl.lit(bound), kind)) for kind in exact]
    return pl.coalesce(*compared, compare(_read(value, last), _read(pl.lit(bound), last, strict=True)))


def _read(text: pl.Expr, kind: pl.DataType, *, strict: bool = False) -> pl.Expr:
    if kind == pl.Date:
        return text.str.to_date("%Y-%m-%d", strict=strict)
    return text.str.strip_prefix("+").cast(kind, strict=strict)


def _valid_json(values: pl.Series) -> pl.Series:
    return pl.Series([None if value is None else _is_json(value) for value in values], dtype=pl.Boolean)


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return "\\u0000" not in text


def _brief(value: str | None) -> str:
    text = value or ""
    shown = text if len(text) <= 60 else text[:57] + "…"
    return f"“{shown}”"
