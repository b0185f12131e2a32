from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import msgspec
from psycopg import sql as composed

from opsplane.errors import InvalidInput
from opsplane.files.entity import Column, Entity

_OPERATORS: dict[str, LiteralString] = {
    "eq": "{} = {}",
    "ne": "{} IS DISTINCT FROM {}",
    "lt": "{} < {}",
    "le": "{} <= {}",
    "gt": "{} > {}",
    "ge": "{} >= {}",
    "in": "{} IN ({})",
    "contains": "strpos(lower({}::text), lower({})) > 0",
}
_GUARDED = r"CASE WHEN ascii({0}::text) IN (9, 13, 39, 43, 45, 61, 64) AND {0}::text ~ E'^\'*[=+@\t\r-]' THEN '''' || {0}::text ELSE {0}::text END"


class SelectionRejected(InvalidInput):
    """The export names a column or a comparison that the entity does not have; `violations` lists every one."""


class Selection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which rows and columns of an entity are exported, and in which order.

    `filters` compares columns: `{"status": "CONFIRMED", "total": {"ge": 10, "lt": 50}}` with the operators
    eq, ne, lt, le, gt, ge, in (a list), contains (text, whatever its case). No `columns` means all.
    `order_by` replaces the entity's own; `-` before a name turns it round.
    """

    columns: tuple[str, ...] = ()
    filters: Mapping[str, Any] = {}
    order_by: tuple[str, ...] = ()


def chosen(entity: Entity, selection: Selection) -> tuple[Column, ...]:
    """The columns of an export. Raises `SelectionRejected` for anything the selection names in vain."""
    known = {column.name: column for column in entity.columns}
    places = [("columns", name) for name in selection.columns]
    places += [("filters", name) for name in selection.filters]
    places += [("order_by", name.removeprefix("-")) for name in selection.order_by]
    wrong = [
        _problem(place, name, f"{entity.name} has no column {name!r}.")
        for place, name in places
        if name not in known
    ]
    for name, wanted in selection.filters.items():
        wrong += _filter_problems(name, wanted)
    if wrong:
        raise SelectionRejected(
            f"The export of {entity.name} cannot be made: {wrong[0]['message']}",
            violations=wrong,
            remedy=f"Columns of {entity.name}: {', '.join(known)}.",
        )
    return tuple(known[name] for name in selection.columns) or entity.columns


def statement(entity: Entity, selection: Selection, *, guard: bool) -> composed.Composed:
    """The query of an export, values quoted by PostgreSQL's own rules and cast to their column's type."""
    shown = composed.SQL(", ").join(_shown(column, guard) for column in chosen(entity, selection))
    table = composed.Identifier(*entity.table.split("."))
    query = composed.SQL("SELECT {} FROM {}").format(shown, table)
    conditions = [
        one for name, wanted in selection.filters.items() for one in _conditions(entity.column(name), wanted)
    ]
    if conditions:
        query += composed.SQL(" WHERE {}").format(composed.SQL(" AND ").join(conditions))
    order = selection.order_by or entity.order_by or tuple(column.name for column in entity.keys)
    if order:
        query += composed.SQL(" ORDER BY {}").format(
            composed.SQL(", ").join(_ordered(entity, one) for one in order)
        )
    return query


def _shown(column: Column, guard: bool) -> composed.Composable:
    name = composed.Identifier(column.target)
    return composed.SQL(_GUARDED).format(name) if guard and column.type == "string" else name


def _ordered(entity: Entity, name: str) -> composed.Composable:
    target = composed.Identifier(entity.column(name.removeprefix("-")).target)
    return composed.SQL("{} DESC").format(target) if name.startswith("-") else target


def _conditions(column: Column, wanted: Any) -> Sequence[composed.Composable]:
    compared = wanted if isinstance(wanted, Mapping) else {"eq": wanted}
    return [_condition(column, operator, value) for operator, value in compared.items()]


def _condition(column: Column, operator: str, value: Any) -> composed.Composable:
    name = composed.Identifier(column.target)
    if value is None:
        return composed.SQL("{} IS NULL" if operator == "eq" else "{} IS NOT NULL").format(name)
    if operator == "in":
        texts = composed.SQL(", ").join(_literal(one) for one in value)
        return composed.SQL(_OPERATORS["in"]).format(name, texts) if value else composed.SQL("false")
    return composed.SQL(_OPERATORS[operator]).format(name, _literal(value))


def _literal(value: Any) -> composed.Literal:
    """A quoted text of unknown type, so that PostgreSQL reads it as the column's type."""
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    return composed.Literal(text)


def _filter_problems(name: str, wanted: Any) -> list[dict[str, str]]:
    if not isinstance(wanted, Mapping):
        return [] if _plain(wanted) else [_problem("filters", name, f"{name}: a filter takes a plain value.")]
    found = []
    for operator, value in wanted.items():
        if operator not in _OPERATORS:
            known = ", ".join(_OPERATORS)
            found.append(
                _problem("filters", name, f"{name}: there is no comparison {operator!r}; there are {known}.")
            )
        elif value is None and operator not in ("eq", "ne"):
            found.append(_problem("filters", name, f"{name}: {operator} needs a value."))
        elif operator == "in" and not (isinstance(value, list | tuple) and all(_plain(one) for one in value)):
            found.append(_problem("filters", name, f"{name}: in needs a list of plain values."))
        elif operator != "in" and not _plain(value):
            found.append(_problem("filters", name, f"{name}: {operator} needs a plain value."))
    return found


def _plain(value: Any) -> bool:
    return value is None or (isinstance(value, str | int | float | bool) and "\0" not in str(value))


def _problem(place: str, name: str, message: str) -> dict[str, str]:
    return {"pointer": f"/{place}/{name}", "keyword": place, "message": message}
