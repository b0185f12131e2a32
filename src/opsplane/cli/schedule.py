from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import cyclopts
import msgspec
from cyclopts import Parameter

from opsplane.cli.operations import call
from opsplane.cli.output import emit, note
from opsplane.cli.session import Common, session
from opsplane.errors import InvalidInput

app = cyclopts.App(name="schedule", help="List, make, pause and run schedules of tasks.")

DEFAULTS = Common()
COLUMNS = ("name", "cron", "zone", "taskType", "nextAt", "lastTask", "pausedBy")
Name = Annotated[str, Parameter(help="The schedule, from `schedule ls`.")]
Reason = Annotated[str | None, Parameter(help="Why; goes to the audit log.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class What:
    """When tasks are created, and which."""

    cron: Annotated[str, Parameter(help="Five fields, such as '0 3 * * *', or @daily and its like.")]
    task_type: Annotated[str, Parameter(name="--type", help="The type of the tasks.")]
    zone: Annotated[str, Parameter(help="The time zone of the expression.")] = "UTC"
    overlap: Annotated[
        Literal["skip", "allow", "cancel"], Parameter(help="What if the task before is unfinished.")
    ] = "skip"
    missed: Annotated[
        Literal["skip", "once", "all"], Parameter(help="What of times nobody could decide in time.")
    ] = "once"
    grace: Annotated[float, Parameter(help="Seconds after which a time counts as missed.")] = 60.0
    params: Annotated[str, Parameter(help="The tasks' parameters, a JSON object.")] = "{}"
    queue: Annotated[str | None, Parameter(help="Their queue, if not their type's.")] = None
    priority: Annotated[int, Parameter(help="0 to 9, 9 first.")] = 4

    def body(self) -> dict[str, Any]:
        """The same as the API takes it."""
        return {
            "cron": self.cron, "taskType": self.task_type, "zone": self.zone, "overlap": self.overlap,
            "missed": self.missed, "graceSeconds": self.grace, "params": _object(self.params), "queue": self.queue,
            "priority": self.priority,
        }  # fmt: skip


@app.command(name="ls")
async def list_schedules(*, common: Common = DEFAULTS) -> None:
    """Every schedule with its next time."""
    async with session(common) as opened:
        found = (await call(opened, "GET", "/schedules"))["data"]
    emit(found, common.output, **({"columns": COLUMNS} if common.output == "table" else {}))


@app.command
async def show(name: Name, *, common: Common = DEFAULTS) -> None:
    """A schedule, its next times and what was decided at its last ones."""
    async with session(common) as opened:
        found = await call(opened, "GET", f"/schedules/{name}")
    if common.output != "table":
        emit(found, common.output)
        return
    runs, coming = found.pop("runs"), found.pop("upcoming")
    emit([{"what": key, "value": value} for key, value in found.items() if value is not None])
    note("Next: " + (", ".join(coming) or "never"))
    if runs:
        emit(runs, columns=("dueAt", "outcome", "taskId", "detail"))


@app.command
async def put(name: Name, *, what: What, common: Common = DEFAULTS) -> None:
    """Make a schedule, or change the one of this name to exactly this."""
    async with session(common) as opened:
        found = await call(opened, "PUT", f"/schedules/{name}", json=what.body())
    note(f"✓ {name}: {found['taskType']} next at {found['nextAt'] or 'no time at all'}")
    if common.output != "table":
        emit(found, common.output)


@app.command
async def run(name: Name, *, reason: Reason = None, common: Common = DEFAULTS) -> None:
    """Create the schedule's task now, whatever its policies say."""
    found = await _change(name, "run", reason, common)
    note(f"✓ task {found['lastTask']}. Follow it with: opsplane task watch {found['lastTask']}")


@app.command
async def pause(name: Name, *, reason: Reason = None, common: Common = DEFAULTS) -> None:
    """Create nothing until the schedule is resumed."""
    await _change(name, "pause", reason, common)
    note(f"✓ {name} is paused. Go on with: opsplane schedule resume {name}")


@app.command
async def resume(name: Name, *, reason: Reason = None, common: Common = DEFAULTS) -> None:
    """Go on from the schedule's next time; those of its pause are not made up for."""
    found = await _change(name, "resume", reason, common)
    note(f"✓ {name} is next at {found['nextAt'] or 'no time at all'}")


@app.command(name="rm")
async def remove(name: Name, *, reason: Reason = None, common: Common = DEFAULTS) -> None:
    """Forget a schedule; its tasks stay."""
    async with session(common) as opened:
        await call(opened, "DELETE", f"/schedules/{name}", params={"reason": reason})
    note(f"✓ {name} is forgotten")


async def _change(name: str, verb: str, reason: str | None, common: Common) -> dict[str, Any]:
    async with session(common) as opened:
        found: dict[str, Any] = await call(
            opened, "POST", f"/schedules/{name}/{verb}", params={"reason": reason}
        )
    if common.output != "table":
        emit(found, common.output)
    return found


def _object(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise InvalidInput(f"--params is no JSON object: {error}") from error
