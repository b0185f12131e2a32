from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
from cyclopts import Parameter

from opsplane.cli.bulk import find_entity, finished, require_column, started
from opsplane.cli.operations import call
from opsplane.cli.output import emit, note
from opsplane.cli.session import Common, session

if TYPE_CHECKING:
    from opsplane.files import Entity

app = cyclopts.App(name="export", help="Export the services' entities to files.")

DEFAULTS = Common()
_FILTER = re.compile(r"(?P<column>[^=!<>~]+)(?P<operator>!=|>=|<=|=|>|<|~)(?P<value>.*)\Z", re.DOTALL)
OPERATORS = {"=": "eq", "!=": "ne", ">=": "ge", "<=": "le", ">": "gt", "<": "lt", "~": "contains"}


@app.command
async def start(
    entity: Annotated[str, Parameter(help="What is exported, for example order.")],
    *,
    filter: Annotated[  # noqa: A002  the option is called so
        tuple[str, ...],
        Parameter(help="column=value, also != >= <= > < and ~ (contains); all given must hold."),
    ] = (),
    column: Annotated[tuple[str, ...], Parameter(help="A column to write; may be given again. All.")] = (),
    order_by: Annotated[
        tuple[str, ...], Parameter(help="A column; - before it: descending.", allow_leading_hyphen=True)
    ] = (),
    to: Annotated[
        Path | None,
        Parameter(help="Wait and download to this file; - is standard output.", allow_leading_hyphen=True),
    ] = None,
    wait: Annotated[bool, Parameter(negative="", help="Follow it to its end.")] = False,
    force: Annotated[bool, Parameter(negative="", help="Replace an existing file.")] = False,
    common: Common = DEFAULTS,
) -> int:
    """Write the rows as of one moment to a csv file, in the background."""
    from opsplane.cli.task import ended
    from opsplane.cli.transfer import download, vacant

    found = find_entity(entity, importing=False)
    names = [one.name for one in found.columns]
    for name in (*column, *(one.removeprefix("-") for one in order_by)):
        require_column(found, name, names)
    params = {"filters": _filters(found, filter), "columns": column, "orderBy": order_by}
    if to is not None:
        vacant(to, force=force)
    async with session(common) as opened:
        task = await call(
            opened, "POST", "/tasks", json={"taskType": f"{found.name}.export", "params": params}
        )
        if to is None and not wait:
            started(task, common.output)
            return 0
        task = await finished(opened, task)
        code = ended(task)
        if code == 0 and to is not None:
            written = await download(opened, task["id"], "result", to, force=force)
            note(f"✓ {task['resultFile']['rows']} rows in {written or 'standard output'}")
        elif code == 0:
            note(f"  fetch it with: opsplane task result {task['id']}")
    if common.output != "table":
        emit(task, common.output)
    return code


def _filters(entity: Entity, given: Sequence[str]) -> dict[str, dict[str, Any]]:
    from opsplane.errors import InvalidInput

    found: dict[str, dict[str, Any]] = {}
    for text in given:
        match = _FILTER.match(text)
        if match is None:
            raise InvalidInput(f"--filter {text!r} is not of the form column=value.")
        require_column(entity, match["column"].strip(), (one.name for one in entity.columns))
        compared = found.setdefault(match["column"].strip(), {})
        operator = OPERATORS[match["operator"]]
        if operator in compared:
            raise InvalidInput(f"--filter {text!r}: {match['column']} is compared twice in the same way.")
        compared[operator] = match["value"]
    return found
