"""The laboratory of the history: a database that writes down every change of a task, workers to harm, the harm."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import redis.asyncio as redis
from tests.faults.history import Figures, Findings, Record, Told, check
from tests.faults.history_tasks import TYPES
from tests.faults.test_events import restart
from tests.faults.test_workers import ROOT

from opsplane.database import Doorbell, Pool, migrate
from opsplane.embedded import Postgres, Valkey
from opsplane.errors import Unavailable
from opsplane.events import Outbox, Relay, connect, decode
from opsplane.resilience import Stop, run_duties
from opsplane.tasks import Joiner, NewTask, Producer, Rescuer, TaskControl, task_schemas

RECORDING = """
create sequence history_number;
create table history (
    number bigint primary key default nextval('history_number'), task_id uuid not null, what text not null,
    status smallint, token bigint, attempt smallint, at timestamptz not null default clock_timestamp()
);
create function note_state() returns trigger language plpgsql as $$ begin
    insert into history (task_id, what, status, token, attempt)
    values (new.id, 'state', new.status, (to_jsonb(new) ->> 'claim_token')::bigint, new.attempt);
    return null;
end $$;
create function note_step() returns trigger language plpgsql as $$ begin
    insert into history (task_id, what, attempt) values (new.task_id, 'step', new.attempt);
    return null;
end $$;
create trigger noted after insert on task for each row execute function note_state();
create trigger noted_change after update on task for each row
when (old.status <> new.status or old.claim_token is distinct from new.claim_token) execute function note_state();
create trigger noted after insert on task_history for each row execute function note_state();
create trigger noted after insert on task_step for each row execute function note_step();
"""
GIVEN_UP = "select id::text as id from task_history where status = 4 and error_kind = 'WorkerLost'"
LEFT = "select (select count(*) from task) + (select count(*) from outbox where published_at is null) as n"
RECORDS = "select task_id::text as task_id, what, status, token, attempt from history order by number"
FAKETIME = next(
    (path for path in Path("/usr/lib").glob("*/faketime/libfaketime.so.1")),
    None,
)
SILENCE = 3.0  # a busy machine may keep a worker from its beat for longer than one would think
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, Unavailable)
TOPICS = [f"operations.task.{kind}" for kind in ("created", "started", "completed", "failed", "cancelled")]


class Hand:
    """A worker's process, with a clock that may be set where libfaketime is installed."""

    def __init__(self, dsn: str, place: Path, options: Sequence[str]) -> None:
        self.command = [sys.executable, "-m", "tests.faults.history_process", dsn, *options]
        self.clock = place
        self.set("+0")
        self.process = self._start()

    def set(self, offset: str) -> None:
        """Have the process's wall clock differ by `offset`, such as `-3h`, from now on."""
        draft = self.clock.with_suffix(".draft")
        draft.write_text(offset + "\n")
        draft.replace(self.clock)

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.wait()

    def replace(self) -> None:
        """`kill -9`, and another worker in its place."""
        self.kill()
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        told = dict(os.environ)
        if FAKETIME is not None:
            told |= {
                "LD_PRELOAD": str(FAKETIME),
                "FAKETIME_TIMESTAMP_FILE": str(self.clock),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "DONT_FAKE_MONOTONIC": "1",
            }
        with self.clock.with_suffix(".log").open("ab") as output:
            return subprocess.Popen(self.command, cwd=ROOT, stdout=output, stderr=output, env=told)


class Lab:
    """One run: what was created, the workers, and the harm done to everybody."""

    def __init__(self, pool: Pool, doorbell: Doorbell, server: Postgres, engine: Valkey, seed: int) -> None:
        self.pool, self.doorbell, self.server, self.engine = pool, doorbell, server, engine
        self.outbox = Outbox(task_schemas(), "operations")
        self.hands: list[Hand] = []
        self.created: list[str] = []
        self.harm: Counter[str] = Counter()
        self.chance = random.Random(seed)

    async def create(self, news: Sequence[NewTask]) -> None:
        """Create tasks; what is not acknowledged is not counted on."""
        producer = Producer(self.pool, TYPES, self.outbox, self.doorbell)
        try:
            async with self.pool.transaction() as tx:
                ids = await producer.create_many(tx, news)
        except AWAY:
            self.harm["not acknowledged"] += len(news)
        else:
            self.created += ids

    async def kill(self) -> None:
        """`kill -9` of a worker, which is replaced."""
        self.chance.choice(self.hands).replace()

    async def stop(self, seconds: float = SILENCE + 2.5) -> None:
        """SIGSTOP of a worker for longer than it is believed alive."""
        process = self.chance.choice(self.hands).process
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        process.send_signal(signal.SIGCONT)

    async def jump(self) -> None:
        """A worker's wall clock jumps by three hours."""
        self.chance.choice(self.hands).set(self.chance.choice(["+3h", "-3h", "+0"]))

    async def restart(self) -> None:
        """PostgreSQL ends, in one way or another, and comes back."""
        await restart(self.server, self.chance.choice(["stop", "immediate", "kill"]))

    async def outage(self) -> None:
        """The broker is away."""
        await asyncio.to_thread(self.engine.stop)
        await asyncio.sleep(self.chance.uniform(0.5, 3.0))
        await asyncio.to_thread(self.engine.start)

    async def harmed(self, name: str) -> None:
        """One kind of harm, counted."""
        await getattr(self, name)()
        self.harm[name] += 1

    async def left(self) -> int:
        """How many tasks have no end yet, and how many events are not published."""
        return int((await self.rows(LEFT))[0]["n"])

    async def retry_given_up(self) -> int:
        """How many failed tasks were made pending again, because they had lost their workers three times."""
        control = TaskControl(self.pool, self.outbox, self.doorbell)
        lost = await self.rows(GIVEN_UP)
        for row in lost:
            await control.retry(row["id"], "tester")
        return len(lost)

    async def rows(self, statement: str) -> list[dict[str, Any]]:
        """The rows of a statement, as soon as the database is there."""
        while True:
            try:
                return await self.pool.fetch(statement.encode())  # type: ignore[arg-type]
            except AWAY:
                await asyncio.sleep(0.2)

    async def findings(self) -> tuple[Findings, Figures]:
        """What the history says."""
        records = [Record(**row) for row in await self.rows(RECORDS)]
        story = await self.rows("select task_id::text as task_id, kind from task_event")
        emitting = await self.rows("select id::text as id from any_task where emit = 2")
        return check(
            records,
            self.created,
            [Told(**row) for row in story],
            await self.published(),
            [row["id"] for row in emitting],
        )

    async def published(self) -> list[Told]:
        """The task events on the broker; one that was sent twice counts once."""
        found: dict[str, Told] = {}
        async with redis.from_url(self.engine.url("admin")) as store:
            for topic in TOPICS:
                for _, fields in await store.xrange(topic):
                    event = decode(fields[b"data"])
                    found[event.id] = Told(event.subject or "", topic.rpartition(".")[2])
        return list(found.values())


@asynccontextmanager
async def lab_on(
    server: Postgres, engine: Valkey, place: Path, *options: str, seed: int = 1, workers: int = 4
) -> AsyncIterator[Lab]:
    """A lab on an empty database and broker, with workers, rescuer, joiner and relay at work."""
    server.provision({"operations": "operations"})
    dsn = server.dsn("operations", "operations", "operations")
    async with AsyncExitStack() as stack:
        pool = await Pool.open(dsn, timeout=30.0)
        stack.push_async_callback(pool.close)
        doorbell = Doorbell(dsn)
        stack.push_async_callback(doorbell.close)
        for source in ("events", "tasks"):
            await migrate(pool, source, f"opsplane.{source}.migrations")
        async with pool.connection() as connection:
            await connection.execute(RECORDING.encode())
        lab = Lab(pool, doorbell, server, engine, seed)
        broker = connect(engine.url("admin"))
        stack.push_async_callback(broker.close)
        stop = Stop()
        duties = [
            Rescuer(pool, TYPES, doorbell=doorbell, outbox=lab.outbox, silence=SILENCE),
            Joiner(pool, TaskControl(pool, lab.outbox, doorbell), doorbell),
            Relay("operations", pool, broker, doorbell),
        ]
        running = asyncio.create_task(run_duties(duties, stop))
        try:
            lab.hands = [Hand(dsn, place / f"clock-{number}", options) for number in range(workers)]
            yield lab
        finally:
            for hand in lab.hands:
                hand.kill()
            stop.set()
            await running
