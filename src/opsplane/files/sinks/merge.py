from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl
import psycopg
from psycopg import sql as composed

from opsplane.database import Connection, sql
from opsplane.files.checks import LINE
from opsplane.files.entity import Column, Entity

_FILES = "opsplane.files"
_TYPES = {
    "23505": ("duplicate", "Another row has the same value."),
    "23503": ("reference", "The row it refers to does not exist."),
    "23502": ("required", "A value is required."),
    "23514": ("check", "The table's own check refuses the value."),
    "23P01": ("conflict", "The value conflicts with another row."),
    "22003": ("out_of_range", "The number is too large for the table."),
    "22001": ("max_length", "The text is too long for the table."),
}
_ROW_ERRORS = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.CardinalityViolation,
    psycopg.errors.RaiseException,
)


class Rejected(NamedTuple):
    """A row the database refused, by its line, and why."""

    line: int
    column: str
    code: str
    message: str


class Merged(NamedTuple):
    """What became of rows: how many were inserted or updated, and which the database refused."""

    changed: int
    rejected: Sequence[Rejected]


class Merge:
    """Puts checked rows into an entity's table: new ones inserted, different ones updated, equal ones left."""

    def __init__(self, entity: Entity, columns: Sequence[Column]) -> None:
        table = composed.Identifier(*entity.table.split("."))
        names = composed.SQL(", ").join(composed.Identifier(column.target) for column in columns)
        self.columns = [column.target for column in columns]
        self._create = _fill("create_rows", table=table, columns=names)
        self._copy = _fill("copy_rows", columns=names)
        self._clear = sql(_FILES, "clear_rows")
        conflict = _conflict(entity, columns)
        self._merge = _fill("merge_rows", table=table, columns=names, conflict=conflict)

    async def prepare(self, tx: Connection) -> None:
        """Make place for rows in this transaction."""
        await tx.execute("SET LOCAL timezone = 'UTC'")
        await tx.execute(self._create)

    async def run(self, tx: Connection, rows: pl.DataFrame) -> Merged:
        """Merge the rows; those the database refuses are found by halving, and left out."""
        if rows.height == 0:
            return Merged(0, ())
        await tx.execute(
            self._clear
        )  # outside the savepoint, which would keep the old rows' disk space until commit
        try:
            async with tx.transaction():
                return Merged(await self._attempt(tx, rows), ())
        except _ROW_ERRORS as error:
            if rows.height == 1:
                return Merged(0, (_rejected(rows[LINE][0], error),))
        half = rows.height // 2
        first, second = await self.run(tx, rows[:half]), await self.run(tx, rows[half:])
        return Merged(first.changed + second.changed, (*first.rejected, *second.rejected))

    async def _attempt(self, tx: Connection, rows: pl.DataFrame) -> int:
        text = await asyncio.to_thread(self._text, rows)
        async with tx.cursor().copy(self._copy) as copy:
            await copy.write(text)
        return (await tx.execute(self._merge)).rowcount

    def _text(self, rows: pl.DataFrame) -> str:
        numbered = rows.select(pl.int_range(pl.len()).alias("\nn"), *self.columns)
        return numbered.write_csv(include_header=False)


def _fill(name: str, **parts: composed.Composable) -> composed.Composed:
    return composed.SQL(sql(_FILES, name)).format(**parts)


def _conflict(entity: Entity, columns: Sequence[Column]) -> composed.Composable:
    keys = [composed.Identifier(column.target) for column in columns if column.key]
    values = [composed.Identifier(column.target) for column in columns if not column.key]
    if not keys:
        return composed.SQL("")
    target = composed.SQL("ON CONFLICT ({})").format(composed.SQL(", ").join(keys))
    if not values:
        return composed.SQL("{} DO NOTHING").format(target)
    sets = [composed.SQL("{0} = EXCLUDED.{0}").format(value) for value in values]
    sets += [
        composed.SQL("{} = {}").format(composed.Identifier(name), composed.SQL(expression))
        for name, expression in entity.on_update.items()
    ]
    differs = composed.SQL("({}) IS DISTINCT FROM ({})").format(
        composed.SQL(", ").join(composed.SQL("target.{}").format(value) for value in values),
        composed.SQL(", ").join(composed.SQL("EXCLUDED.{}").format(value) for value in values),
    )
    return composed.SQL("{} DO UPDATE SET {} WHERE {}").format(target, composed.SQL(", ").join(sets), differs)


def _rejected(line: int, error: psycopg.Error) -> Rejected:
    state = error.sqlstate or ""
    code, text = _TYPES.get(state, ("refused", "The database refuses the value."))
    detail = error.diag.message_primary or str(error)
    return Rejected(line, error.diag.column_name or "", code, f"{text} ({detail})")
