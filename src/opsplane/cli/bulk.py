"""What `import start` and `export start` share: entities by name, columns by name, a task started and waited for."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from opsplane.cli.operations import watch
from opsplane.cli.output import emit, note
from opsplane.errors import InvalidInput

if TYPE_CHECKING:
    from opsplane.cli.session import Output, Session
    from opsplane.files import Entity


def find_entity(name: str, *, importing: bool) -> Entity:
    """The entity of the installed services; raises `InvalidInput` that lists those there are."""
    from opsplane.service import collect_services

    known = {
        binding.entity.name: binding.entity
        for service in collect_services().values()
        for binding in service.entities
        if binding.importable or not importing
    }
    if name not in known:
        verb = "imported" if importing else "exported"
        raise InvalidInput(
            f"There is no entity {name!r} that can be {verb}.{nearest(name, known)}",
            remedy=f"Entities: {', '.join(sorted(known))}.",
        )
    return known[name]


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean …?` where something is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def require_column(entity: Entity, name: str, known: Iterable[str]) -> None:
    """Return when `name` is one of the known columns; raise `InvalidInput` with the nearest otherwise."""
    columns = list(known)
    if name not in columns:
        raise InvalidInput(
            f"{entity.name} has no column {name!r}.{nearest(name, columns)}",
            remedy=f"Its columns: {', '.join(columns)}.",
        )


def started(task: Mapping[str, Any], output: Output) -> None:
    """Tell that the task was created, and how to follow it."""
    note(f"✓ started {task['taskType']}; follow it with: opsplane task watch {task['id']}")
    emit(task["id"] if output == "table" else task, output)


async def finished(opened: Session, task: Mapping[str, Any]) -> dict[str, Any]:
    """The task when it is finished; an interrupt leaves it running."""
    try:
        return await watch(opened, task["id"])
    except asyncio.CancelledError:
        note(f"The task goes on; follow it with: opsplane task watch {task['id']}")
        raise
