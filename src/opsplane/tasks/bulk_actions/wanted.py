"""What a bulk action is asked to do: which action, on which tasks, and what keeps it from meaning all by accident."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from opsplane.errors import InvalidInput
from opsplane.resilience import Retry
from opsplane.tasks.filter import TaskFilter
from opsplane.tasks.states import TRANSITIONS, Code
from opsplane.tasks.task_type import TaskType

BulkAction = Literal["cancel", "retry"]
NAME = "task.bulk"
QUEUE = "operations"
TIMEOUT = 7 * 86400.0
UNCLAIMED = (Code.READY, Code.WAITING, Code.HELD)
ASKED = (Code.PROCESSING, Code.JOINING)
FAILED = (Code.FAILED,)


class BulkParams(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The parameters of a bulk action's task: `matched` tasks matched when it was asked for, at the time `before`."""

    action: BulkAction
    filter: TaskFilter
    actor: str
    before: datetime
    matched: int = 0

    def audited(self) -> dict[str, Any]:
        """What the audit log tells."""
        return {"filter": msgspec.to_builtins(self.filter), "matched": self.matched}

    @property
    def source(self) -> str:
        """The table its tasks are in."""
        return "task" if self.action == "cancel" else "task_history"

    def parameters(self) -> dict[str, Any]:
        """The filter as parameters of the statements on `source`."""
        found = self.filter.parameters()
        possible = [*UNCLAIMED, *ASKED] if self.action == "cancel" else [*FAILED]
        statuses = [code for code in found["statuses"] or possible if code in possible]
        return {**found, "statuses": statuses, "before": self.before, "kind": NAME}

    def require_sense(self, *, everything: bool) -> None:
        """Return unless the filter names no tasks (and not `everything` is meant) or such that the action never changes.

        Raises `InvalidInput` with the remedy.
        """
        status = self.filter.status
        possible = TRANSITIONS[self.action].sources
        if status is not None and status not in possible:
            raise InvalidInput(
                f"A {status} task cannot be {'cancelled' if self.action == 'cancel' else 'retried'}.",
                remedy=f"Give no status, or one of: {', '.join(sorted(possible))}.",
                violations=[{"pointer": "/filter/status", "keyword": "enum", "message": "impossible status"}],
            )
        if not everything and not self._narrow():
            raise InvalidInput(
                f"The filter is empty: it would {self.action} every task that can be.",
                remedy="Name a condition, or ask for all of them: all: true (on the command line --all).",
                violations=[{"pointer": "/filter", "keyword": "minProperties", "message": "no condition"}],
            )

    def _narrow(self) -> bool:
        """Whether a condition leaves some tasks out; of failed tasks only, that they failed is none."""
        given = {name for name, value in msgspec.structs.asdict(self.filter).items() if value is not None}
        return bool(given - {"status"} if self.action == "retry" else given)


async def _elsewhere(_context: Any, _params: BulkParams) -> None:
    raise RuntimeError("Bulk actions are run by the operations role, not by workers.")


BULK = TaskType(
    name=NAME,
    handler=_elsewhere,
    queue=QUEUE,
    params=BulkParams,
    timeout=TIMEOUT,
    retry=Retry(0),
    emit="none",
)
