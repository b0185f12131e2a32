from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
from cyclopts import Parameter

from opsplane.cli.operations import call
from opsplane.cli.output import emit, note
from opsplane.cli.progress import state_option
from opsplane.cli.session import Common, session
from opsplane.errors import Conflict

if TYPE_CHECKING:
    from opsplane.cli.session import Session

app = cyclopts.App(name="queue", help="List, pause, drain, resume and set queues of tasks.")

DEFAULTS = Common()
LOOK = 1.0
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
        "draining",
        "weight",
        "fair",
        "pending",
        "held",
        "scheduled",
        "waiting",
        "processing",
        "joining",
        "oldest",
        "reason",
    )
    emit(found, columns=columns)


@app.command
async def pause(name: Name, *, reason: Reason = None, common: Common = DEFAULTS) -> None:
    """Stop claims from a queue; what runs goes on."""
    async with session(common) as opened:
        done = await call(opened, "POST", f"/queues/{name}/pause", params={"reason": reason})
        back = f"opsplane queue resume {name}{state_option(Path(opened.settings.state))}"
    waiting = done["pending"] if done else 0
    note(f"✓ {name} is paused; {waiting} tasks wait. Go on with: {back}")
    if common.output != "table":
        emit(done or {"name": name}, common.output)


@app.command
async def drain(
    name: Name,
    *,
    wait: Annotated[bool, Parameter(negative="", help="Show what is left until it is empty.")] = False,
    reason: Reason = None,
    common: Common = DEFAULTS,
) -> None:
    """Have a queue take no new tasks and run those it holds to the end."""
    async with session(common) as opened:
        done = await call(opened, "POST", f"/queues/{name}/drain", params={"reason": reason})
        back = f"opsplane queue resume {name}{state_option(Path(opened.settings.state))}"
        note(f"✓ {name} takes no new tasks; {done['unfinished']} are left. It takes tasks again with: {back}")
        if not done["closed"]:
            note("! A transaction that is open for long may still add some.")
        if done["paused"]:
            note("! It is paused as well: what it holds does not run. Resume it, then drain it again.")
        if wait:
            done = await _emptied(opened, done)
            note(f"✓ {name} is empty")
    if common.output != "table":
        emit(done, common.output)


async def _emptied(opened: Session, queue: dict[str, Any]) -> dict[str, Any]:
    """The queue once nothing is in it; an interrupt leaves it draining."""
    from opsplane.cli.bar import Bar

    name, total, left = queue["name"], queue["unfinished"], queue["unfinished"]
    with Bar(f"queue {name}") as bar:
        while left:
            total = max(total, left)
            bar.update({"status": "draining", "processedRecords": total - left, "totalRecords": total})
            await asyncio.sleep(LOOK)
            known = (await call(opened, "GET", "/queues"))["data"]
            queue = next((one for one in known if one["name"] == name), {**queue, "unfinished": 0})
            if not queue["draining"]:
                raise Conflict(f"Somebody resumed {name}: it takes new tasks.", remedy="Drain it again.")
            left = queue["unfinished"]
    return queue


@app.command
async def resume(name: Name, *, reason: Reason = None, common: Common = DEFAULTS) -> None:
    """Let the tasks of a paused queue run, and a drained one take new tasks, again."""
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
