"""A client of tasks written from the table of calls in docs/reference/tasks.md alone: plain HTTP, nothing of opsplane."""

from __future__ import annotations

import time
from typing import Any

import httpx


class PlainClient:
    """Creates a task with a file, uploads it, waits, downloads."""

    def __init__(self, url: str, token: str) -> None:
        self._api = httpx.Client(
            base_url=f"{url}/api/v1/operations", headers={"Authorization": f"Bearer {token}"}, timeout=20.0
        )

    def close(self) -> None:
        self._api.close()

    def create(self, task_type: str, params: dict[str, Any], file: tuple[str, bytes] | None = None) -> str:
        """The id of a new task, whose file has been put where the answer said."""
        body: dict[str, Any] = {"taskType": task_type, "params": params}
        if file is not None:
            body |= {"fileName": file[0], "fileSize": len(file[1])}
        task = self._ok(self._api.post("/tasks", json=body))
        if file is not None:
            httpx.put(task["uploadUrl"], content=file[1], headers=task["uploadHeaders"]).raise_for_status()
        return str(task["id"])

    def finished(self, task_id: str, seconds: float = 60.0) -> dict[str, Any]:
        """The task once it has ended, asked for every fifth of a second."""
        deadline = time.monotonic() + seconds
        while True:
            task = self._ok(self._api.get(f"/tasks/{task_id}"))
            if task["status"] in ("completed", "failed", "cancelled"):
                return task
            if time.monotonic() > deadline:
                raise TimeoutError(f"{task_id} is {task['status']}")
            time.sleep(0.2)

    def download(self, task_id: str, file: str = "result") -> bytes:
        """The bytes of one of the task's files."""
        found = self._ok(self._api.get(f"/tasks/{task_id}/download", params={"file": file}))
        content = httpx.get(found["url"]).raise_for_status().content
        assert len(content) == found["size"]
        return content

    def _ok(self, answer: httpx.Response) -> dict[str, Any]:
        answer.raise_for_status()
        return dict(answer.json())
