from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts
import msgspec
from cyclopts import Parameter

from opsplane.cli.operations import call, find_task, follow, status_of, watch
from opsplane.cli.output import emit, note
from opsplane.cli.session import Common, session
from opsplane.cli.task_bulk import Wanted, many

app = cyclopts.App(name="task", help="List, explain, follow, cancel and retry tasks; fetch their results.")

DEFAULTS = Common()
PAGE = 500
CALLBACK = ("task", "state", "tries", "dueAt", "triedAt", "lastStatus", "lastError", "url")
Id = Annotated[str, Parameter(help="The task's id, from `task ls`.")]
Ids = Annotated[str, Parameter(help="Ids of tasks, from `task ls`.")]
Reason = Annotated[str | None, Parameter(help="Why; goes to the audit log.")]
All = Annotated[bool, Parameter(name="--all", negative="", help="Every one there is.")]
DryRun = Annotated[bool, Parameter(negative="", help="Only show how many and a sample.")]
Yes = Annotated[bool, Parameter(negative="", help="Needed for more than the ids named.")]
Detach = Annotated[bool, Parameter(negative="", help="Do not wait for the outcome.")]
Status = Literal["scheduled", "pending", "running", "processing", "completed", "failed", "cancelled"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Which:
    """Which tasks are listed; all conditions given must hold."""

    status: Annotated[Status | None, Parameter(help="Only those in this status.")] = None
    task_type: Annotated[str | None, Parameter(name="--type", help="Their type, from `task types`.")] = None
    entity: Annotated[str | None, Parameter(help="Their entity.")] = None
    queue: Annotated[str | None, Parameter(help="Their queue.")] = None
    by: Annotated[str | None, Parameter(help="Who requested them.")] = None
    parent: Annotated[str | None, Parameter(help="The task that fanned out into them.")] = None
    since: Annotated[
        str | None, Parameter(help="Created then or later: 2026-01-31, or a time with zone.")
    ] = None
    until: Annotated[str | None, Parameter(help="Created then or before; a day is meant whole.")] = None
    search: Annotated[
        str | None, Parameter(help="Words in type, file name or error, or how the id begins.")
    ] = None

    def params(self) -> dict[str, Any]:
        """The same as the API takes it."""
        return {
            "status": self.status, "taskType": self.task_type, "entityType": self.entity, "queue": self.queue,
            "requestedBy": self.by, "parentId": self.parent, "startDate": self.since, "endDate": self.until, "search": self.search,
        }  # fmt: skip


ANY = Which()


@app.command(name="ls")
async def list_tasks(
    *,
    which: Which = ANY,
    limit: Annotated[int, Parameter(help="At most how many.")] = 50,
    common: Common = DEFAULTS,
) -> None:
    """Tasks, newest first."""
    found: list[dict[str, Any]] = []
    async with session(common) as opened:
        cursor: str | None = None
        while len(found) < limit:
            size = min(PAGE, limit - len(found))
            answer = await call(
                opened, "GET", "/tasks", params={**which.params(), "pageSize": size, "cursor": cursor}
            )
            found += answer["data"]
            cursor = answer["nextCursor"]
            if cursor is None:
                break
    emit([_row(task) for task in found] if common.output == "table" else found, common.output)
    if cursor is not None:
        note(f"These are the newest {len(found)}; more with --limit.")


@app.command
async def show(task_id: Id, *, common: Common = DEFAULTS) -> None:
    """One task with what happened to it and its log."""
    async with session(common) as opened:
        task = await find_task(opened, task_id)
        events = (await call(opened, "GET", f"/tasks/{task_id}/events"))["data"]
        logs = (await call(opened, "GET", f"/tasks/{task_id}/logs"))["data"]
        steps = await call(opened, "GET", f"/tasks/{task_id}/steps")
    if common.output != "table":
        emit(
            {**task, "events": events, "logs": logs, "steps": steps["data"], "fanOuts": steps["fanOuts"]},
            common.output,
        )
        return
    emit({name: value for name, value in task.items() if value not in (None, {}, [])})
    note("\nwhat happened")
    emit(events, columns=("at", "kind", "attempt", "actor", "detail"))
    if steps["fanOuts"]:
        note("\nchildren")
        emit(
            steps["fanOuts"],
            columns=("name", "policy", "total", "completed", "failed", "cancelled", "joinedAt"),
        )
    if logs:
        note("\nlog")
        emit(logs, columns=("at", "level", "message", "fields"))


@app.command
async def explain(task_id: Id, *, common: Common = DEFAULTS) -> None:
    """Why a task waits, and what can be done: the cause that must go away first comes first."""
    async with session(common) as opened:
        found = (await call(opened, "GET", f"/tasks/{task_id}/explain"))["data"]
    if common.output != "table":
        emit(found, common.output)
        return
    for cause in found:
        print(f"{cause['reason']}: {cause['message']}")
        for word in ("since", "until", "remedy"):
            if cause[word]:
                print(f"  {word} {cause[word]}")


@app.command(name="watch")
async def watch_task(task_id: Id, *, common: Common = DEFAULTS) -> int:
    """Follow a task to its end: 0 when it completed, 1 when it failed or was cancelled.

    With -o json every event of the stream is one line.
    """
    async with session(common) as opened:
        if common.output == "json":
            status = None
            async for name, value in follow(opened, task_id):
                print(msgspec.json.encode({"event": name, "data": value}).decode(), flush=True)
                status = status_of(value) or status
            return 0 if status == "completed" else 1
        return ended(await watch(opened, task_id))


@app.command
async def cancel(
    *ids: Ids,
    which: Which = ANY,
    everything: All = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    detach: Detach = False,
    reason: Reason = None,
    common: Common = DEFAULTS,
) -> int:
    """Cancel tasks: at once where no worker has them; a running one is asked to stop.

    Give ids, or conditions that all must hold: then --dry-run shows how many tasks those are, and --yes does it.
    """
    if ids and which == ANY and not everything:
        return await _each("cancel", ids, reason, common)
    wanted = Wanted(which.params(), everything=everything, dry_run=dry_run, yes=yes, detach=detach)
    return await many("cancel", ids, wanted, reason, common)


@app.command
async def retry(
    *ids: Ids,
    which: Which = ANY,
    everything: All = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    detach: Detach = False,
    reason: Reason = None,
    common: Common = DEFAULTS,
) -> int:
    """Run failed tasks again: those of the ids, or all that fit the conditions, as with cancel."""
    if ids and which == ANY and not everything:
        return await _each("retry", ids, reason, common)
    wanted = Wanted(which.params(), everything=everything, dry_run=dry_run, yes=yes, detach=detach)
    return await many("retry", ids, wanted, reason, common)


@app.command
async def callback(
    ids: Ids,
    /,
    *more: Ids,
    retry: Annotated[
        bool, Parameter(negative="", help="Tell it again now, with all tries before it.")
    ] = False,
    reason: Reason = None,
    common: Common = DEFAULTS,
) -> None:
    """Whether the end of tasks was told to their callbacks, and what the receivers said."""
    async with session(common) as opened:
        if retry:
            for task_id in (ids, *more):
                await call(opened, "POST", f"/tasks/{task_id}/callback/retry", params={"reason": reason})
        found = [
            {"task": task_id, **await call(opened, "GET", f"/tasks/{task_id}/callback")}
            for task_id in (ids, *more)
        ]
    emit(found, common.output, **({"columns": CALLBACK} if common.output == "table" else {}))


@app.command
async def result(
    task_id: Id,
    *,
    to: Annotated[
        Path | None,
        Parameter(help="Where to; - is standard output. Default: its own name.", allow_leading_hyphen=True),
    ] = None,
    file: Annotated[Literal["result", "errors", "input"], Parameter(help="Which of the files.")] = "result",
    force: Annotated[bool, Parameter(negative="", help="Replace an existing file.")] = False,
    common: Common = DEFAULTS,
) -> None:
    """Download a task's file; its size is verified."""
    from opsplane.cli.transfer import download

    async with session(common) as opened:
        written = await download(opened, task_id, file, to, force=force)
    if written is not None:
        note(f"✓ {written} has {written.stat().st_size} bytes")


@app.command
def types(*, common: Common = DEFAULTS) -> None:
    """Every type of task of the installed services."""
    from opsplane.service import collect_services, task_types

    rows = [
        {
            "name": kind.name, "service": kind.service, "entity": kind.entity, "queue": kind.queue_name,
            "isolation": kind.isolation, "retries": kind.retry.attempts, "timeout": f"{kind.timeout:g}s",
        }
        for kind in sorted(task_types(collect_services().values()), key=lambda kind: kind.name)
    ]  # fmt: skip
    emit(rows, common.output)


def ended(task: Mapping[str, Any]) -> int:
    """The exit code for a finished task, how it ended told."""
    records = f": {task['processedRecords']} records, {task['failedRecords']} failed"
    if task["status"] == "completed":
        note(f"✓ {task['taskType']} completed{records if task['processedRecords'] else ''}")
        return 0
    note(
        f"✗ {task['taskType']} {task['status']}{'. ' + task['errorMessage'] if task['errorMessage'] else ''}"
    )
    return 1


async def _each(verb: str, ids: Sequence[str], reason: str | None, common: Common) -> int:
    async with session(common) as opened:
        changed = [
            await call(opened, "POST", f"/tasks/{task_id}/{verb}", params={"reason": reason})
            for task_id in ids
        ]
    for task in changed:
        asked = task["cancelRequestedAt"] and task["status"] == "processing"
        note(f"✓ {task['id']} {'is asked to stop' if asked else 'is ' + task['status']}")
    if common.output != "table":
        emit(changed, common.output)
    return 0


def _row(task: Mapping[str, Any]) -> dict[str, Any]:
    percent = task["progressPercentage"]
    return {
        "id": task["id"], "type": task["taskType"], "status": f"awaits {task['waitsFor']}" if task["waitsFor"] else task["status"],
        "progress": "" if percent is None else f"{percent:g}%", "requested_by": task["requestedBy"],
        "created_at": task["createdAt"], "message": task["errorMessage"] or task["message"],
    }  # fmt: skip
