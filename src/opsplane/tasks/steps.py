"""Steps of a task: each runs once, its result is kept, and a restarted task continues after the last finished one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from opsplane.database import sql
from opsplane.tasks.errors import Fenced, StepRefused
from opsplane.tasks.operations import Operations

RESULT_LIMIT = 256 * 1024
NAME_LIMIT = 200


class Steps:
    """The steps of one attempt; `operate` runs work with the operations database."""

    def __init__(self, task_id: str, token: int, attempt: int, operate: Callable[[Any], Any]) -> None:
        self._id = task_id
        self._token = token
        self._attempt = attempt
        self._operate = operate
        self._finished: frozenset[str] | None = None
        self._named: set[str] = set()

    async def run(self, name: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """What the step returned, now or in an earlier attempt, as JSON gives it back.

        Raises `StepRefused` for a name used before in this attempt and for a result that cannot be kept, `Fenced`
        when the task was taken away meanwhile.
        """
        self.take(name)
        if self._finished is None:
            self._finished = frozenset(await self._operate(self._names))
        if name in self._finished:
            return msgspec.json.decode(await self._operate(lambda operations: self._stored(operations, name)))
        started = datetime.now(UTC)
        result = function(*arguments)
        if inspect.isawaitable(result):
            result = await result
        text = self._encoded(name, result)
        await self._operate(lambda operations: self._store(operations, name, text, started))
        return msgspec.json.decode(text)

    def take(self, name: str) -> None:
        """Note that this attempt uses the name; raises `StepRefused` where it did before."""
        if not 1 <= len(name) <= NAME_LIMIT or "\x00" in name:
            raise StepRefused(
                f"The name of a step has 1 to {NAME_LIMIT} characters: {name[:80]!r} does not fit."
            )
        if name in self._named:
            raise StepRefused(
                f"Task {self._id} used the step name {name!r} twice in one attempt.",
                remedy="Give each step a name of its own; in a loop, number them.",
                task_id=self._id,
            )
        self._named.add(name)

    def _encoded(self, name: str, result: Any) -> str:
        try:
            text = msgspec.json.encode(msgspec.to_builtins(result, str_keys=True)).decode()
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise StepRefused(
                f"The result of step {name!r} is no JSON: {error}", task_id=self._id, step=name
            ) from error
        size = len(text.encode())
        if size > RESULT_LIMIT:
            raise StepRefused(
                f"The result of step {name!r} has {size} bytes, at most {RESULT_LIMIT} are kept.",
                remedy="Put it into the object store or a table and return its key.",
                task_id=self._id,
                step=name,
            )
        return text

    async def _names(self, operations: Operations) -> list[str]:
        return [
            row["name"] for row in await operations.pool.fetch(sql(__package__, "step_names"), [self._id])
        ]

    async def _stored(self, operations: Operations, name: str) -> str:
        row = await operations.pool.fetch_one(sql(__package__, "get_step"), [self._id, name])
        if row is None:
            raise Fenced(f"Task {self._id} was deleted while it ran.", task_id=self._id)
        return str(row["result"])

    async def _store(self, operations: Operations, name: str, text: str, started: datetime) -> None:
        told = {
            "id": self._id,
            "token": self._token,
            "attempt": self._attempt,
            "name": name,
            "result": text,
            "started_at": started,
            "finished_at": datetime.now(UTC),
        }
        if await operations.pool.fetch_one(sql(__package__, "insert_step"), told) is None:
            raise Fenced(
                f"Task {self._id} was taken away from this attempt; step {name!r} was not kept.",
                task_id=self._id,
            )
