"""The worker protocol, whatever carries it: claim, heartbeat, progress, complete, fail, leave."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from opsplane.database import Doorbell, Pool, sql
from opsplane.errors import InvalidInput
from opsplane.events import Outbox
from opsplane.tasks.context import Claim
from opsplane.tasks.errors import UnknownTaskType
from opsplane.tasks.outcome import Ending, Failure, Outcome, outcome_of_failure, outcome_of_row
from opsplane.tasks.remote.dealer import Dealer
from opsplane.tasks.remote.leases import Ask, Lease, Leases
from opsplane.tasks.remote.returns import Line, Returns, Told, clean
from opsplane.tasks.task import ResultFile, Task
from opsplane.tasks.task_type import TaskType
from opsplane.tasks.timing import observe_wait


class NotRemote(InvalidInput):
    """The platform's own workers run tasks of this type; only those of remote types can be claimed from outside."""


class Dealt(NamedTuple):
    """A worker's lease, and the tasks it was given."""

    lease: Lease
    claims: Sequence[Claim]


class Pulse(NamedTuple):
    """What became of the tokens a worker asked about: still its own, asked to stop (also held), taken away."""

    lease: Lease
    held: list[int]
    cancel: list[int]
    lost: list[int]


class RemoteWork:
    """The calls of remote workers; `owner` is the subject of the caller's token. The dealer must run as a duty."""

    def __init__(
        self, pool: Pool, types: Iterable[TaskType], outbox: Outbox | None, doorbell: Doorbell
    ) -> None:
        self._pool = pool
        self._types = {kind.name: kind for kind in types}
        self._leases = Leases(pool)
        self._returns = Returns(pool, outbox, doorbell)
        self.dealer = Dealer(pool, self._types.values(), doorbell)

    async def claim(self, owner: str, ask: Ask, left: Callable[[], Awaitable[None]]) -> Dealt:
        """The tasks dealt to the worker, whose lease begins anew; `left` returns when nobody waits for the answer.

        It waits for at most half of the lease, so that the lease does not end meanwhile. Raises `UnknownTaskType`,
        `NotRemote`, `WorkerGone`, `Denied`, `Unavailable`.
        """
        self._require_remote(ask.types)
        lease = await self._leases.take(owner, ask)
        if ask.number is not None and ask.holding is not None:
            await self._returns.hand_back(lease.number, ask.holding)
        leaving = asyncio.ensure_future(left())
        try:
            wait = min(ask.wait, ask.lease / 2)
            claims = await self.dealer.claim(lease.number, ask.types, ask.limit, wait, leaving)
            if leaving.done():
                await self._returns.return_unheard(claims)
                return Dealt(lease, ())
        finally:
            leaving.cancel()
        if claims:
            await self._begin(claims)
            running = None if ask.holding is None else len(ask.holding) + len(claims)
            lease = await self._leases.renew(owner, lease.number, running=running)
        return Dealt(lease, claims)

    async def heartbeat(
        self, owner: str, number: int, tokens: Collection[int], *, stopping: bool = False
    ) -> Pulse:
        """The renewed lease, and which of the tokens are still held, asked to stop, lost. Raises `WorkerGone`, `Denied`."""
        lease = await self._leases.renew(owner, number, running=len(tokens), stopping=stopping)
        rows = await self._pool.fetch(sql(__package__, "list_held"), {"worker": number})
        cancel = {row["token"]: row["cancel"] for row in rows}
        return Pulse(
            lease,
            [token for token in tokens if token in cancel],
            [token for token in tokens if cancel.get(token)],
            [token for token in tokens if token not in cancel],
        )

    async def progress(
        self, owner: str, task_id: str, token: int | None, told: Told, lines: Sequence[Line] = ()
    ) -> Task:
        """The task with what its handler tells. Raises `TaskNotFound`, `Fenced`, `Denied`."""
        task, worker = await self._returns.progress(owner, task_id, token, told, lines)
        await self._leases.touch(worker)
        return task

    async def complete(
        self,
        owner: str,
        task_id: str,
        token: int,
        told: Told,
        result: Mapping[str, Any] | None = None,
        file: ResultFile | None = None,
    ) -> Outcome:
        """The end of an attempt whose work is done. Raises `TaskNotFound`, `Fenced`, `Denied`."""

        def judge(row: Mapping[str, Any]) -> Outcome:
            ending = outcome_of_row(row, ending=Ending.COMPLETED, result=result, result_file=file)
            ending.total, ending.done, ending.failed = told.total, told.processed, told.failed
            ending.message = clean(told.message)
            return ending

        return await self._end(owner, task_id, token, judge)

    async def fail(self, owner: str, task_id: str, token: int, failure: Failure) -> Outcome:
        """The end of an attempt that failed: again later, as its type's retries allow, or for good.

        A task that was asked to stop is cancelled. Raises `TaskNotFound`, `Fenced`, `Denied`.
        """

        def judge(row: Mapping[str, Any]) -> Outcome:
            if row["cancelled"]:
                return outcome_of_row(row, ending=Ending.CANCELLED)
            kind = self._types.get(row["task_type"])
            facts = outcome_of_failure(kind, row["retry_count"], row["max_retries"], failure)
            return outcome_of_row(row, **facts)

        return await self._end(owner, task_id, token, judge)

    async def leave(self, owner: str, number: int) -> int:
        """How many tasks the worker, which stops, leaves to others. Raises `WorkerGone`, `Denied`."""
        await self._leases.leave(owner, number)
        return await self._returns.hand_back(number)

    async def _end(
        self, owner: str, task_id: str, token: int, judge: Callable[[Mapping[str, Any]], Outcome]
    ) -> Outcome:
        outcome = await self._returns.end(owner, task_id, token, judge)
        if outcome.attempted.worker is not None:
            await self._leases.touch(outcome.attempted.worker)
        return outcome

    async def _begin(self, claims: Sequence[Claim]) -> None:
        await self._returns.begin(claims)
        for claim in claims:
            observe_wait(claim, 0)

    def _require_remote(self, names: Iterable[str]) -> None:
        for name in names:
            kind = self._types.get(name)
            if kind is None:
                near = difflib.get_close_matches(name, self._types, n=1)
                raise UnknownTaskType(
                    f"No service declares the task type {name!r}.",
                    remedy=f"Did you mean {near[0]}?" if near else "See: opsplane task types",
                )
            if not kind.remote:
                raise NotRemote(
                    f"Tasks of the type {name} are run by the platform's own workers.",
                    remedy="Declare it with remote_task, or claim only types that are.",
                )
