"""The operations API as commands call it: answers or the API's own errors, and a task followed to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from opsplane.cli.bar import Bar
from opsplane.errors import OpsplaneError, Unavailable

if TYPE_CHECKING:
    from opsplane.cli.session import Session

BASE = "/api/v1/operations"
FINISHED = frozenset({"completed", "failed", "cancelled"})
SILENCE = 60.0  # the stream says something every 15 s
RECONNECTS = 20


class Refused(OpsplaneError):
    """The platform answered with an error: `status`, `violations` and the remedy are its own."""


async def call(
    opened: Session, method: str, path: str, *, json: Any = None, params: Mapping[str, Any] | None = None
) -> Any:
    """The answer to one call below `/api/v1/operations`; raises `Refused` with what the platform says."""
    client = await opened.api()
    given = {name: value for name, value in (params or {}).items() if value is not None}
    answer = await client.request(method, BASE + path, json=json, params=given, headers=_bearer(opened))
    raise_refused(answer.status_code, answer.content)
    return msgspec.json.decode(answer.content) if answer.content else None


async def find_task(opened: Session, task_id: str) -> dict[str, Any]:
    """The task of this id."""
    found: dict[str, Any] = await call(opened, "GET", f"/tasks/{task_id}")
    return found


async def follow(opened: Session, task_id: str) -> AsyncIterator[tuple[str, Any]]:
    """The events of the task's stream until it is finished; a broken connection is made again.

    Every connection begins with a new `snapshot`.
    """
    client, failures = await opened.api(), 0
    while True:
        try:
            async with client.stream(
                "GET",
                f"{BASE}/tasks/{task_id}/stream",
                headers=_bearer(opened),
                timeout=httpx.Timeout(30.0, read=SILENCE),
            ) as answer:
                if answer.status_code != 200:
                    raise_refused(answer.status_code, await answer.aread())
                async for name, value in _events(answer):
                    failures = 0
                    yield name, value
                    if name == "deleted" or status_of(value) in FINISHED:
                        return
        except (httpx.TransportError, Unavailable):
            failures += 1
            if failures > RECONNECTS:
                raise
        await asyncio.sleep(0.5)


async def watch(opened: Session, task_id: str) -> dict[str, Any]:
    """The task, finished; how far it is and what it logs is shown meanwhile."""
    with Bar(f"task {task_id[:8]}") as bar:
        shown: int = 0
        async for name, value in follow(opened, task_id):
            if name == "snapshot":
                lines = [line for line in value["logs"] if line["number"] > shown]
                bar.update(value["task"])
            elif name == "log":
                lines = [value]
            else:
                lines = []
                bar.update(value)
            for line in lines:
                shown = line["number"]
                bar.line(f"{line['level']}: {line['message']}")
    return await find_task(opened, task_id)


def status_of(value: Mapping[str, Any]) -> str | None:
    """The task's status, where an event of the stream tells it."""
    status: str | None = value.get("task", value).get("status")
    return status


def raise_refused(status: int, body: bytes) -> None:
    """Return when the answer is a good one; raise `Refused` with its problem otherwise."""
    if status < 400:
        return
    try:
        problem = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        problem = {"detail": body[:300].decode("utf-8", "replace")}
    detail = problem.get("detail") or problem.get("title") or f"The platform answered with status {status}."
    facts = {"violations": problem.get("violations") or []}
    if status == 503:
        raise Unavailable(
            detail, remedy=problem.get("remedy") or "See what runs with: opsplane status", **facts
        )
    error = Refused(detail, remedy=problem.get("remedy"), **facts)
    error.status = status
    raise error


def _bearer(opened: Session) -> dict[str, str]:
    """A token that is fresh however long the command has been running."""
    return {"Authorization": f"Bearer {opened.token('admin', lifetime=300)}"}


async def _events(answer: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    name = ""
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, msgspec.json.decode(line.removeprefix("data: "))
