from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from opsplane.errors import InvalidInput
from opsplane.files.entity import Column, Entity

IGNORED = frozenset({"error_line", "error_column", "error_code", "error_message", "error_record"})


class MappingRejected(InvalidInput):
    """The file's columns do not fit the entity's; `violations` lists every one, nothing was imported."""


class Mapped(NamedTuple):
    """A column of the file (the `place`-th, from 0) and the entity's column it fills."""

    place: int
    column: Column


def match_columns(header: Sequence[str], entity: Entity, mapping: Mapping[str, str]) -> tuple[Mapped, ...]:
    """Which column of the file fills which of the entity.

    `mapping` names the entity's column for a column of the file, or nothing (`""`) to leave it out. Others
    match by name, whatever their case, spaces, dashes and underscores. Columns of an error file of ours
    are left out. Raises `MappingRejected` with every column that fits nothing, twice, or is missing.
    """
    columns = {column.name: column for column in entity.importable}
    wrong = [
        _problem(name, f"The file has no column {name!r}.", _near(name, header))
        for name in mapping
        if name not in header
    ]
    found: dict[str, Mapped] = {}
    for index, name in enumerate(header):
        target = mapping[name] if name in mapping else _by_name(name, columns)
        if target == "":
            continue
        if target is None or target not in columns:
            shown = name if target is None else target
            wrong.append(
                _problem(name, f"{entity.name} has no column {shown!r} to import.", _near(shown, columns))
            )
        elif target in found:
            wrong.append(_problem(name, f"The column {target!r} is filled by two columns of the file.", None))
        else:
            found[target] = Mapped(index, columns[target])
    for name, column in columns.items():
        if column.must and column.default is None and name not in found:
            wrong.append(
                _problem(
                    name, f"The file has no column for {name!r}, which is required.", _near(name, header)
                )
            )
    if wrong:
        texts = " ".join(one["message"] for one in wrong[:5])
        raise MappingRejected(
            f"The file's columns do not fit {entity.name}: {texts}",
            violations=wrong,
            remedy=f"Columns of {entity.name}: {', '.join(columns)}. Map others by name, or to nothing to leave them out.",
        )
    return tuple(found.values())


def _by_name(name: str, columns: Mapping[str, Column]) -> str | None:
    if name in columns:
        return name
    if name.lower() in IGNORED:
        return ""
    plain = {_plain(one): one for one in columns}
    return plain.get(_plain(name))


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character not in " _-.")


def _near(name: str, names: Mapping[str, Column] | Sequence[str]) -> str | None:
    plain = {_plain(one): one for one in names}
    close = difflib.get_close_matches(_plain(name), list(plain), n=1, cutoff=0.6)
    return plain[close[0]] if close else None


def _problem(column: str, message: str, nearest: str | None) -> dict[str, str]:
    hint = f" Did you mean {nearest!r}?" if nearest else ""
    problem = {"pointer": f"/{column}", "keyword": "column", "message": message + hint}
    return {**problem, "nearest": nearest} if nearest else problem
