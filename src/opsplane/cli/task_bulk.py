"""Cancelling or retrying every task that fits conditions: shown first, done after a yes, followed to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opsplane.cli.operations import call, watch
from opsplane.cli.output import emit, note
from opsplane.cli.session import Common, session

if TYPE_CHECKING:
    from opsplane.cli.session import Session

COLUMNS = ("id", "taskType", "status", "queue", "requestedBy", "createdAt", "errorMessage")
WORDS = {"cancel": "cancelled", "retry": "run again"}


@dataclass(frozen=True)
class Wanted:
    """Which tasks are meant (the fields of the API's filter), and how far to go."""

    filter: Mapping[str, Any]
    everything: bool
    dry_run: bool
    yes: bool
    detach: bool

    def body(self, *, dry_run: bool) -> dict[str, Any]:
        """The same as the API takes it."""
        given = {name: value for name, value in self.filter.items() if value is not None}
        return {"filter": given, "all": self.everything, "dryRun": dry_run}


async def many(verb: str, ids: Sequence[str], wanted: Wanted, reason: str | None, common: Common) -> int:
    """The exit code: 0 when the action was done on every task meant, or was only shown."""
    from opsplane.errors import Conflict, InvalidInput

    if ids:
        raise InvalidInput("Give ids or conditions, not both.")
    async with session(common) as opened:
        if wanted.dry_run or not wanted.yes:
            await _show(opened, verb, wanted, common)
        if wanted.dry_run:
            return 0
        if not wanted.yes:
            raise Conflict(f"Not confirmed; nothing was {WORDS[verb]}.", remedy="Give --yes.")
        body, given = wanted.body(dry_run=False), {"reason": reason}
        task = await call(opened, "POST", f"/tasks/bulk/{verb}", json=body, params=given)
        if wanted.detach:
            note(f"✓ started; follow it with: opsplane task watch {task['id']}")
            emit(task["id"] if common.output == "table" else task, common.output)
            return 0
        task = await watch(opened, task["id"])
    if common.output != "table":
        emit(task, common.output)
    else:
        emit(task["result"] or {})
    return 0 if task["status"] == "completed" and not (task["result"] or {}).get("refused") else 1


async def _show(opened: Session, verb: str, wanted: Wanted, common: Common) -> None:
    found = await call(opened, "POST", f"/tasks/bulk/{verb}", json=wanted.body(dry_run=True))
    note(f"{found['matched']} tasks would be {WORDS[verb]}.")
    if common.output != "table":
        emit(found, common.output)
    elif found["sample"]:
        emit(found["sample"], columns=COLUMNS)
