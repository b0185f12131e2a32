from __future__ import annotations

from typing import Annotated

import cyclopts
from cyclopts import Parameter

from opsplane.cli.operations import call
from opsplane.cli.output import emit, note
from opsplane.cli.session import Common, session

app = cyclopts.App(name="queue", help="List, pause and resume queues of tasks.")

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
    columns = ("name", "paused", "pending", "scheduled", "waiting", "processing", "oldest", "reason")
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
