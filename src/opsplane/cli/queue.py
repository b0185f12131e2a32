from __future__ import annotations

from typing import Annotated

import cyclopts
from cyclopts import Parameter

from opsplane.cli.operations import call
from opsplane.cli.output import emit, note
from opsplane.cli.session import Common, session

app = cyclopts.App(name="queue", help="List, pause, resume and set queues of tasks.")

DEFAULTS = Common()
Name = Annotated[str, Parameter(help="The queue, from `queue ls`.")]
Reason = Annotated[str | None, Parameter(help="Why; goes to the audit log.")]


@app.command(name="ls")
async def list_queues(*, common: Common = DEFAULTS) -> None:
    """Every queue that has settings or unfinished tasks, with how many of each kind."""
    async with session(common) as opened:
        found = (await call(opened, "GET", "/queues"))["data"]
    if common.output != "table":
        emit(found, common.output)
        return
    columns = (
        "name",
        "paused",
        "weight",
        "fair",
        "pending",
        "held",
        "scheduled",
        "waiting",
        "processing",
        "oldest",
        "reason",
    )
    emit(found, columns=columns)


@app.command
async def pause(name: Name, *, reason: Reason = None, common: Common = DEFAULTS) -> None:
    """Stop claims from a queue; what runs goes on."""
    async with session(common) as opened:
        done = await call(opened, "POST", f"/queues/{name}/pause", params={"reason": reason})
    waiting = done["pending"] if done else 0
    note(f"✓ {name} is paused; {waiting} tasks wait. Go on with: opsplane queue resume {name}")
    if common.output != "table":
        emit(done or {"name": name}, common.output)


@app.command
async def resume(name: Name, *, reason: Reason = None, common: Common = DEFAULTS) -> None:
    """Let the tasks of a paused queue run again."""
    async with session(common) as opened:
        done = await call(opened, "POST", f"/queues/{name}/resume", params={"reason": reason})
    note(f"✓ {name} runs")
    if common.output != "table":
        emit(done or {"name": name}, common.output)


@app.command(name="set")
async def put(
    name: Name,
    *,
    weight: Annotated[float | None, Parameter(help="Its share of the workers beside other queues'.")] = None,
    fair: Annotated[bool | None, Parameter(help="Whether its tenants take turns.")] = None,
    reason: Reason = None,
    common: Common = DEFAULTS,
) -> None:
    """Set a queue's weight, and whether its tenants take turns; what is not given stays as it is."""
    async with session(common) as opened:
        body = {"weight": weight, "fair": fair}
        done = await call(opened, "PUT", f"/queues/{name}", json=body, params={"reason": reason})
    turns = "its tenants take turns" if done["fair"] else "first come, first served"
    note(f"✓ {name}: weight {done['weight']:g}, {turns}")
    if common.output != "table":
        emit(done, common.output)
