"""The dealer: gives due tasks to remote workers that ask, the first of them first.

One loop on one session claims for all who wait, when a task was created and once a second. Workers that ask for the same
types share a claimer, so that its marks hold for all of them, and a look that found nothing is not made for the next.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import psycopg

from opsplane.database import Bell, Connection, Doorbell, Pool, sql
from opsplane.errors import Unavailable
from opsplane.resilience import Stop
from opsplane.tasks import channels
from opsplane.tasks.claimer import Claimer, Queues
from opsplane.tasks.context import Claim
from opsplane.tasks.sessions import CHECK_INTERVAL, CLAIM_PLAN, open_session
from opsplane.tasks.task_type import TaskType

POLL = 1.0
PATIENCE = 5.0  # seconds for the first look
SETTINGS_AGE = 0.25
CLAIMERS = 100  # sets of types remembered at once


class Asking:
    """A worker that waits for tasks."""

    def __init__(self, worker: int, types: frozenset[str], limit: int) -> None:
        self.worker = worker
        self.types = types
        self.limit = limit
        self.answer: asyncio.Future[list[Claim]] = asyncio.get_running_loop().create_future()
        self.late = False  # it waits no longer than for the look under way
        self.busy = True  # a look is under way, or its first is to come

    def tell(self, claims: list[Claim]) -> None:
        """Answer it."""
        if not self.answer.done():
            self.answer.set_result(claims)

    def refuse(self, reason: str) -> None:
        """Have it ask again later."""
        if not self.answer.done():
            self.answer.set_exception(Unavailable(reason, remedy="Claim again."))


class Dealer:
    """A duty; every process that serves remote workers runs its own."""

    name = "task dealer"

    def __init__(self, pool: Pool, types: Iterable[TaskType], doorbell: Doorbell) -> None:
        self._pool = pool
        self._doorbell = doorbell
        self._home = {kind.name: kind.queue_name for kind in types}
        self._waiting: list[Asking] = []
        self._claimers: dict[frozenset[str], tuple[Claimer, Queues]] = {}
        self._bell: Bell | None = None
        self._settled = 0.0

    async def claim(
        self, worker: int, types: frozenset[str], limit: int, wait: float, until: asyncio.Future[None]
    ) -> list[Claim]:
        """At most `limit` tasks, as soon as there is one; none after `wait` seconds or when `until` is done.

        Raises `Unavailable` when the dealer does not look, because the database is away or the process stops.
        """
        asking = Asking(worker, types, limit)
        self._waiting.append(asking)
        if self._bell is not None:
            self._bell.rang("")
        try:
            ends: list[asyncio.Future[Any]] = [asking.answer, until]
            await asyncio.wait(ends, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            asking.late = True
            if not asking.busy:
                asking.tell([])
            async with asyncio.timeout(PATIENCE):
                return await asking.answer
        except TimeoutError as error:
            raise Unavailable("No tasks are dealt at the moment.", remedy="Claim again.") from error
        finally:
            self._waiting.remove(asking)

    async def run(self, stop: Stop) -> None:
        """Deal until `stop`, which sends the waiting away. Raises `psycopg.OperationalError`; run it again."""
        async with (
            self._doorbell.listen(channels.CREATED) as bell,
            bell.rung_at(stop),
            await open_session(
                self._pool.dsn, "opsplane task dealer", f"{CHECK_INTERVAL} {CLAIM_PLAN}"
            ) as session,
        ):
            self._bell = bell
            try:
                while not stop.is_set():
                    await self._deal(session)
                    self._learn(filter(None, await bell.wait(POLL)))
            finally:
                self._bell = None
                self._claimers.clear()
        for asking in self._waiting:
            asking.tell([])

    async def _deal(self, session: Connection) -> None:
        emptied: set[frozenset[str]] = set()
        for asking in list(self._waiting):
            if asking.answer.done():
                continue
            asking.busy = True
            claims = [] if asking.types in emptied else await self._claim(session, asking)
            asking.busy = False
            if claims or asking.late:
                asking.tell(claims)
            if len(claims) < asking.limit:
                emptied.add(asking.types)

    async def _claim(self, session: Connection, asking: Asking) -> list[Claim]:
        try:
            claimer = await self._claimer(session, asking.types)
            return await claimer.claim(session, asking.worker, asking.limit)
        except psycopg.Error as error:
            asking.refuse(f"The database went while tasks were claimed: {error}")
            raise

    async def _claimer(self, session: Connection, types: frozenset[str]) -> Claimer:
        if types not in self._claimers:
            if len(self._claimers) >= CLAIMERS:
                self._claimers.clear()
            queues = Queues(self._home[name] for name in sorted(types))
            self._claimers[types] = Claimer(types, queues), queues
            self._settled = 0.0
        if time.monotonic() - self._settled > SETTINGS_AGE:
            rows = await (await session.execute(sql("opsplane.tasks", "queue_settings"))).fetchall()
            for _, queues in self._claimers.values():
                queues.settle(rows)
            self._settled = time.monotonic()
        return self._claimers[types][0]

    def _learn(self, names: Iterable[str]) -> None:
        heard = list(names)
        for _, queues in self._claimers.values():
            queues.learn(heard)
