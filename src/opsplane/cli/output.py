from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

Output = Literal["table", "json", "yaml", "name"]
NAMES = ("name", "id", "key", "topic", "group")


def emit(value: Any, output: Output = "table", *, columns: Sequence[str] | None = None) -> None:
    """Print `value`, a mapping or rows of mappings (structs too), on standard output in the wanted form.

    `columns` chooses and orders what the table shows; `name` prints one name a line.
    """
    plain = msgspec.to_builtins(value, enc_hook=str, str_keys=True)
    if output == "json":
        print(msgspec.json.format(msgspec.json.encode(plain), indent=2).decode())
    elif output == "yaml":
        import yaml

        print(yaml.safe_dump(plain, allow_unicode=True, sort_keys=False), end="")
    elif output == "name":
        for row in plain if isinstance(plain, list) else [plain]:
            print(name_of(row))
    elif isinstance(plain, list):
        _table(plain, columns)
    elif isinstance(plain, dict):
        _pairs(plain, columns)
    else:
        print(printable(plain))


def note(text: str) -> None:
    """Tell the person at the terminal something that is not data."""
    print(text, file=sys.stderr)


def name_of(row: Any) -> str:
    """What a row is called: its name, id, …, else its first value."""
    if not isinstance(row, Mapping):
        return printable(row)
    key = next((name for name in NAMES if row.get(name) is not None), None)
    return printable(row[key] if key else next(iter(row.values()), ""))


def printable(value: Any) -> str:
    """A cell of a table: short text in which control characters can do nothing to the terminal."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = ", ".join(value)
    if isinstance(value, list | dict):
        value = msgspec.json.encode(value).decode()
    return "".join(one if one.isprintable() else "�" for one in str(value))


def _table(rows: list[Any], columns: Sequence[str] | None) -> None:
    if not rows:
        note("Nothing to show.")
        return
    if not isinstance(rows[0], Mapping):
        rows = [{"value": row} for row in rows]
    names = list(columns or dict.fromkeys(name for row in rows for name in row))
    cells = [[printable(row.get(name)) for name in names] for row in rows]
    if sys.stdout.isatty():
        _rich_table(names, cells)
        return
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    for line in ([name.upper() for name in names], *cells):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _rich_table(names: Sequence[str], cells: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name.upper(), overflow="fold")
    for line in cells:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in line))
    Console().print(table)


def _pairs(value: Mapping[str, Any], columns: Sequence[str] | None) -> None:
    names = list(columns or value)
    width = max((len(name) for name in names), default=0)
    for name in names:
        print(f"{name.ljust(width)}  {printable(value.get(name))}".rstrip())


STYLES = {
    "healthy": "green",
    "ok": "green",
    "completed": "green",
    "unhealthy": "red",
    "failed": "red",
    "restarting": "yellow",
    "warning": "yellow",
    "stopped": "dim",
}
