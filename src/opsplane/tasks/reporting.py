"""Progress, starts and log lines of running attempts: free to tell, written at most four times a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
from psycopg.conninfo import conninfo_to_dict

from opsplane.database import Connection, Doorbell, Pool, sql
from opsplane.events import Outbox
from opsplane.tasks import channels
from opsplane.tasks.announce import publish, wanted
from opsplane.tasks.attempt import Attempt
from opsplane.tasks.context import LogLine, TaskContext
from opsplane.tasks.errors import Fenced, OtherDatabase
from opsplane.tasks.operations import Operations, Work, run_in
from opsplane.tasks.outcome import Ending, outcome_of
from opsplane.tasks.producer import Producer
from opsplane.tasks.settling import settle, started_event
from opsplane.tasks.task_type import TaskType

T = TypeVar("T")
GAP = 0.25
LOG_LIMIT = 10_000


class Reporter:
    """Where the contexts of a worker report to; handlers in other threads may call it, too."""

    def __init__(
        self, pool: Pool, outbox: Outbox | None, doorbell: Doorbell | None, types: Iterable[TaskType] = ()
    ) -> None:
        self._pool = pool
        self._outbox = outbox
        self._doorbell = doorbell
        self._place = place_of(conninfo_to_dict(str.__str__(pool.dsn)))
        self._moved: dict[int, TaskContext] = {}
        self._lines: list[tuple[str, LogLine]] = []
        self._operations = Operations(pool, Producer(pool, types, outbox, doorbell), outbox)
        self._loop = asyncio.get_running_loop()

    def progressed(self, context: TaskContext) -> None:
        """The context's counts are written with the next flush."""
        self._moved[context.claim_token] = context

    def logged(self, context: TaskContext, line: LogLine) -> None:
        """The line is written with the next flush; beyond 10,000 lines between two flushes the oldest are kept."""
        if len(self._lines) < LOG_LIMIT:
            self._lines.append((context.id, line))

    def ended(self, context: TaskContext) -> None:
        """The attempt's last counts go with its outcome."""
        self._moved.pop(context.claim_token, None)

    async def complete(self, context: TaskContext, tx: Connection) -> None:
        """Complete the attempt in the handler's transaction. Raises `Fenced`, `OtherDatabase`."""
        await complete_within(context, tx, self._outbox, self._place)
        self.ended(context)

    async def operate(self, work: Work[T]) -> T:
        """What `work` gives, run in the worker's loop with its pool."""
        return await run_in(self._loop, work, self._operations)

    async def flush(self, running: Collection[Attempt]) -> None:
        """Write starts not yet written, progress and log lines; have attempts stop whose claim is gone or unwanted."""
        fresh = [attempt for attempt in running if not attempt.announced]
        moved, self._moved = self._moved, {}
        told = {attempt.token: attempt for attempt in fresh}
        told.update((attempt.token, attempt) for attempt in running if attempt.token in moved)
        if told:
            await self._write(list(told.values()), moved)
        await self.flush_logs()

    async def flush_logs(self) -> None:
        """Write the waiting log lines."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        parameters = {
            "ids": [task_id for task_id, _ in lines],
            "ats": [line.at for _, line in lines],
            "levels": [line.level for _, line in lines],
            "messages": [line.message.replace("\x00", "\ufffd") for _, line in lines],
            "fields": [_fields(line) for _, line in lines],
        }
        try:
            await self._pool.execute(sql(__package__, "insert_logs"), parameters)
        except BaseException:
            self._lines = (lines + self._lines)[:LOG_LIMIT]
            raise
        self._ring({task_id for task_id, _ in lines})

    async def _write(self, attempts: Sequence[Attempt], moved: dict[int, TaskContext]) -> None:
        contexts = [moved.get(attempt.token) for attempt in attempts]
        parameters = {
            "ids": [attempt.claim.id for attempt in attempts],
            "tokens": [attempt.token for attempt in attempts],
            "delays": [attempt.context.delay for attempt in attempts],
            "totals": [context and context.total for context in contexts],
            "processed": [context and context.done for context in contexts],
            "failed": [context and context.failed for context in contexts],
            "messages": [context and context.message for context in contexts],
        }
        try:
            async with self._pool.transaction() as tx:
                cursor = await tx.execute(sql(__package__, "write_reports"), parameters)
                held = {row["token"]: row["cancel"] for row in await cursor.fetchall()}
                await self._announce(tx, [one for one in attempts if one.token in held and not one.announced])
        except BaseException:
            self._moved = {**moved, **self._moved}
            raise
        for attempt in attempts:
            attempt.context.announced = attempt.announced or attempt.token in held
            if held.get(attempt.token):
                attempt.stop(Ending.CANCELLED)
        self._ring({attempt.claim.id for attempt in attempts if attempt.token in held})

    async def _announce(self, tx: Connection, attempts: Sequence[Attempt]) -> None:
        if self._outbox is None:
            return
        source = self._outbox.source
        outcomes = [
            outcome_of(one.context, Ending.COMPLETED) for one in attempts if wanted("started", one.claim.emit)
        ]
        await publish(self._outbox, tx, [started_event(source, outcome) for outcome in outcomes])

    def _ring(self, ids: Collection[str]) -> None:
        if self._doorbell is not None:
            ring: Callable[[str, str], None] = self._doorbell.ring
            for task_id in ids:
                ring(channels.PROGRESS, task_id)


async def complete_within(
    context: TaskContext, tx: Connection, outbox: Outbox | None, place: tuple[str, str, str]
) -> None:
    """Complete the context's attempt in `tx`, which must be of the operations database at `place`."""
    if place_of({name: getattr(tx.info, name) for name in ("host", "port", "dbname")}) != place:
        raise OtherDatabase(
            f"Task {context.id} can be completed only in the operations database.", task_id=context.id
        )
    if not await settle(tx, outbox, [outcome_of(context, Ending.COMPLETED)]):
        raise Fenced(f"Task {context.id} is run by another attempt now.", task_id=context.id)


def _fields(line: LogLine) -> str | None:
    if not line.fields:
        return None
    return msgspec.json.encode(line.fields, enc_hook=str).decode().replace("\\u0000", "\ufffd")


def place_of(info: Mapping[str, object]) -> tuple[str, str, str]:
    """Host, port and name of a database."""
    return str(info.get("host") or ""), str(info.get("port") or 5432), str(info.get("dbname") or "")
