from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import msgspec

from opsplane.errors import OpsplaneError

ColumnType = Literal["string", "int", "decimal", "float", "bool", "date", "timestamp", "uuid", "json"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?\Z")
_ORDERED = ("int", "decimal", "float", "date")


class EntityRejected(OpsplaneError):
    """The declaration of an entity contradicts itself; nothing can be imported or exported with it."""


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    """One column of an entity: what it is called in files, its type, and what a value must satisfy.

    `column` is its name in the table where that differs. `min` and `max` are inclusive and written as in
    a file (`"0.01"`, `"2026-01-31"`). `pattern` is a regular expression the whole value must match.
    `currency` asks for an ISO 4217 code. `default` replaces an empty cell. `generated` columns are
    exported and never imported.
    """

    name: str
    type: ColumnType = "string"
    key: bool = False
    required: bool = False
    column: str | None = None
    min: str | int | float | Decimal | None = None
    max: str | int | float | Decimal | None = None
    pattern: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    enum: tuple[str, ...] = ()
    currency: bool = False
    scale: int | None = None
    default: str | None = None
    generated: bool = False

    @property
    def target(self) -> str:
        """The column's name in the table."""
        return self.column or self.name

    @property
    def must(self) -> bool:
        """Whether a row without a value is refused."""
        return self.required or self.key


class Entity(msgspec.Struct, frozen=True, omit_defaults=True):
    """A kind of row that can be imported and exported, declared once by the service that owns its table.

    Rows are merged by the columns marked `key`, which need a unique index on the table. `on_update` gives
    SQL expressions for further table columns of a row that changes (`{"updated_at": "now()"}`; the row as
    it was is called `target`). Exports are ordered by `order_by` (column names, `-` before one for
    descending), by the key where it is empty.
    """

    name: str
    table: str
    columns: tuple[Column, ...]
    order_by: tuple[str, ...] = ()
    on_update: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise EntityRejected(f"Entity {self.name!r} is not usable: {'; '.join(problems)}.")

    @property
    def keys(self) -> tuple[Column, ...]:
        """The columns that identify a row."""
        return tuple(column for column in self.columns if column.key)

    @property
    def importable(self) -> tuple[Column, ...]:
        """The columns a file may fill."""
        return tuple(column for column in self.columns if not column.generated)

    @property
    def version(self) -> str:
        """A fingerprint of the declaration; an import does not go on under another one."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:16]

    def column(self, name: str) -> Column:
        """The column called `name` in files."""
        for column in self.columns:
            if column.name == name:
                return column
        raise EntityRejected(f"Entity {self.name!r} has no column {name!r}.")


def _problems(entity: Entity) -> list[str]:
    names = [column.name for column in entity.columns]
    found = [] if _TABLE.match(entity.table) else [f"{entity.table!r} is no table name"]
    found += [f"column {name!r} is declared twice" for name in sorted(set(names)) if names.count(name) > 1]
    found += [f"{one!r} is no column name" for one in entity.on_update if not _NAME.match(one)]
    found += [f"order_by names no column: {one!r}" for one in entity.order_by if one.lstrip("-") not in names]
    if not names:
        found.append("it has no columns")
    for column in entity.columns:
        found += _column_problems(column)
    return found


def _column_problems(column: Column) -> list[str]:
    found = []
    if not _NAME.match(column.target):
        found.append(f"{column.target!r} is no column name")
    if (column.min is not None or column.max is not None) and column.type not in _ORDERED:
        found.append(f"column {column.name!r}: min and max need one of the types {', '.join(_ORDERED)}")
    if (column.pattern or column.enum or column.currency) and column.type != "string":
        found.append(f"column {column.name!r}: pattern, enum and currency need the type string")
    if column.key and column.generated:
        found.append(f"column {column.name!r}: a key cannot be generated")
    return found
