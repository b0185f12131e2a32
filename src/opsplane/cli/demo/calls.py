"""Calling the platform through its gateway, as any client does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import httpx
import msgspec

from opsplane.cli.demo.trace import HopFailed

T = TypeVar("T")
OPERATIONS = "/api/v1/operations"
PATIENCE = 30.0


async def call(api: httpx.AsyncClient, method: str, path: str, **options: Any) -> Any:
    """The JSON answer; raises `HopFailed` with the problem's detail for anything but success."""
    answer = await api.request(method, path, **options)
    if not answer.is_success:
        raise HopFailed(f"{method} {path} was answered {answer.status_code}: {answer.text[:300]}")
    return answer.json() if answer.content else None


async def until(
    question: Callable[[], Awaitable[T]], what: str, patience: float = PATIENCE, pause: float = 0.02
) -> T:
    """The first answer that is true; raises `HopFailed` saying `what` did not come."""
    deadline = time.monotonic() + patience
    while True:
        answer = await question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise HopFailed(f"{what} within {patience:g} s.")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.5)


async def create_import(api: httpx.AsyncClient, entity: str, name: str, content: bytes) -> dict[str, Any]:
    """A new task that imports the file, the file uploaded."""
    wanted = {"taskType": f"{entity}.import", "fileName": name, "fileSize": len(content)}
    task: dict[str, Any] = await call(api, "POST", f"{OPERATIONS}/tasks", json=wanted)
    headers = {"Content-Type": "text/csv", **(task.get("uploadHeaders") or {})}
    async with httpx.AsyncClient(timeout=120.0) as anyone:
        answer = await anyone.put(task["uploadUrl"], content=content, headers=headers)
    if not answer.is_success:
        raise HopFailed(f"The upload was answered {answer.status_code}: {answer.text[:300]}")
    return task


async def create_export(api: httpx.AsyncClient, entity: str, params: dict[str, Any]) -> dict[str, Any]:
    """A new task that exports rows of the entity."""
    wanted = {"taskType": f"{entity}.export", "params": params}
    task: dict[str, Any] = await call(api, "POST", f"{OPERATIONS}/tasks", json=wanted)
    return task


async def follow(
    api: httpx.AsyncClient, task_id: str, patience: float = 120.0
) -> tuple[dict[str, Any], list[str]]:
    """The finished task and the names of the events its stream brought; raises `HopFailed` when it did not complete."""
    task: dict[str, Any] = {}
    seen: list[str] = []
    async with asyncio.timeout(patience):
        while task.get("status") not in {"completed", "failed", "cancelled"}:
            async for name, value in _events(api, f"{OPERATIONS}/tasks/{task_id}/stream"):
                seen.append(name)
                if name in {"snapshot", "status"}:
                    task = value["task"] if name == "snapshot" else value
    if task["status"] != "completed":
        raise HopFailed(f"Task {task_id} ended {task['status']}: {task.get('errorMessage')}")
    return task, seen


async def download(api: httpx.AsyncClient, task_id: str) -> bytes:
    """The task's result file, fetched through the gateway."""
    signed = await call(api, "GET", f"{OPERATIONS}/tasks/{task_id}/download")
    async with httpx.AsyncClient(timeout=120.0) as anyone:
        answer = await anyone.get(signed["url"])
    if not answer.is_success:
        raise HopFailed(f"The download was answered {answer.status_code}: {answer.text[:300]}")
    return answer.content


async def _events(api: httpx.AsyncClient, path: str) -> AsyncIterator[tuple[str, Any]]:
    async with api.stream("GET", path, timeout=httpx.Timeout(10.0, read=60.0)) as answer:
        if not answer.is_success:
            text = (await answer.aread()).decode(errors="replace")
            raise HopFailed(f"GET {path} was answered {answer.status_code}: {text[:300]}")
        name = "message"
        async for line in answer.aiter_lines():
            if line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                yield name, msgspec.json.decode(line[5:])
