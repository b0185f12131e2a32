"""The laboratory of the event experiments: one service database, one broker, processes to kill, and the verdict."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from tests.faults.event_process import GROUP, TOPIC

from opsplane.database import Pool, migrate
from opsplane.errors import Unavailable
from opsplane.events import connect, decode
from opsplane.events.backbone import Backbone
from opsplane.events.rebuild import Rebuilt, rebuild

ROOT = Path(__file__).parents[2]
PAGE = 5000
SOURCES = {
    "events": "opsplane.events.migrations",
    "events-operations": "opsplane.events.operations_migrations",
}
WAITING = "select count(*) as n from outbox where published_at is null"
PUBLISHED = "select count(*) as n from outbox where published_at is not null"
EFFECTS = "select count(distinct event_id) as n from effect"
NOTED = """
    select count(*) as n from group_checkpoint join broker_incarnation using (incarnation) where lost_at is null
"""
BURIED = "select count(*) as n from dead_letter"


class Verdict(NamedTuple):
    """What became of the events whose transaction was acknowledged to the writer."""

    acknowledged: int
    lost: int
    doubled: int
    buried: int


class Order(NamedTuple):
    """What stands on the stream: entries that repeat an earlier one, first ones that are out of their subject's order."""

    copies: int
    disordered: int


class Lab:
    """One experiment's database, broker and processes; `start` gives a process that does not outlive the lab."""

    def __init__(self, pool: Pool, url: str, notes: Path) -> None:
        self.pool, self.url, self.notes = pool, url, notes
        self.dsn = str.__str__(pool.dsn)
        self.store: redis.Redis = redis.from_url(url, retry=Retry(ConstantBackoff(0.1), 20))
        self.writer: subprocess.Popen[bytes] | None = None
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, role: str, *options: object) -> subprocess.Popen[bytes]:
        """A relay, consumer, events role, or writer, as `tests.faults.event_process` has them."""
        command = [sys.executable, "-m", "tests.faults.event_process", role, self.dsn, self.url]
        with self.notes.with_name(f"{role}.log").open("ab") as output:
            process = subprocess.Popen([*command, *map(str, options)], cwd=ROOT, stdout=output, stderr=output)
        self._processes.append(process)
        return process

    def write(self, count: int, *, size: int = 10, pace: float = 0.0) -> subprocess.Popen[bytes]:
        """A writer of `count` events, `size` in a transaction, `pace` seconds between two of them."""
        options = {"--count": count, "--size": size, "--pace": pace, "--notes": self.notes}
        self.writer = self.start("writer", *(text for option in options.items() for text in option))
        return self.writer

    @staticmethod
    def kill(process: subprocess.Popen[bytes]) -> None:
        """`kill -9`; returns when the process is gone."""
        process.kill()
        process.wait()

    async def number(self, statement: str) -> int:
        """The `n` of a statement's one row."""
        row = await self.pool.fetch_one(statement.encode())  # type: ignore[arg-type]
        return int(row["n"]) if row else 0

    async def length(self) -> int:
        """How many entries the topic has."""
        return int(await self.store.xlen(TOPIC))

    async def held(self, process: subprocess.Popen[bytes]) -> int:
        """How many entries a consumer's process was given and has not acknowledged."""
        try:
            consumers = await self.store.xinfo_consumers(TOPIC, GROUP)
        except redis.ResponseError:  # the group is not there yet
            return 0
        return sum(one["pending"] for one in consumers if f"-{process.pid}-" in one["name"].decode())

    async def until(self, statement: str, least: int, *, seconds: float = 90.0) -> bool:
        """Whether the statement's `n` reached `least` before `seconds` passed without it growing."""
        best, deadline = -1, time.monotonic() + seconds
        while True:
            asked = time.monotonic()
            try:
                found = await self.number(statement)
            except (psycopg.OperationalError, Unavailable):
                found = -1  # PostgreSQL is being restarted
            if found >= least:
                return True
            if found > best:
                best, deadline = found, time.monotonic() + seconds
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.02 + 3 * (time.monotonic() - asked))

    async def finished(self, writer: subprocess.Popen[bytes], seconds: float = 90.0) -> bool:
        """Whether the writer ended and every event it committed had its effect, `seconds` without progress given."""
        await asyncio.to_thread(writer.wait)
        assert writer.returncode == 0
        return await self.until(
            EFFECTS, await self.number("select count(*) as n from outbox"), seconds=seconds
        )

    async def over(self) -> bool:
        """Whether the writer has ended and nothing is left to do."""
        return self.writer is not None and self.writer.poll() is not None and await self._idle()

    async def settled(self, writer: subprocess.Popen[bytes]) -> None:
        """Return when nothing is left to do: what had no effect by now will have none."""
        await asyncio.to_thread(writer.wait)
        assert writer.returncode == 0
        await eventually(self._idle, seconds=120.0)

    async def _idle(self) -> bool:
        if not await self.all_sent() or await self.store.zcard(f"opsplane:retry:{GROUP}"):
            return False
        try:
            [group] = await self.store.xinfo_groups(TOPIC)
            stream = await self.store.xinfo_stream(TOPIC)
        except (redis.ResponseError, ValueError):  # nothing is published, or nobody has read yet
            return False
        return group["pending"] == 0 and group["last-delivered-id"] == stream["last-generated-id"]

    async def all_sent(self) -> bool:
        """Whether no event waits in the outbox."""
        return await self.number(WAITING) == 0

    def taken_back(self) -> int:
        """How many entries relays found lost by a restarted broker and sent again."""
        log = self.notes.with_name("relay.log").read_text()
        return sum(int(count) for count in re.findall(r"events\.tail_lost .*?count=(\d+)", log))

    def acknowledged(self) -> set[str]:
        """The ids of the events the writer was told are committed."""
        ranges = [map(int, line.split()) for line in self.notes.read_text().splitlines()]
        return {f"{number:08}" for first, count in ranges for number in range(first, first + count)}

    async def verdict(self, table: str = "effect") -> Verdict:
        """What became of everything acknowledged."""
        rows = await self.pool.fetch(f"select event_id, count(*) as n from {table} group by 1".encode())  # type: ignore[arg-type]
        acknowledged = self.acknowledged()
        lost = acknowledged - {row["event_id"] for row in rows}
        doubled = sum(row["n"] > 1 for row in rows)
        return Verdict(len(acknowledged), len(lost), doubled, await self.number(BURIED))

    async def order(self) -> Order:
        """Whether the first delivery of each event is in its subject's order, numbered without a gap."""
        copies = disordered = 0
        seen: set[str] = set()
        last: dict[str, tuple[int, str]] = {}
        start = "-"
        while entries := await self.store.xrange(TOPIC, start, "+", PAGE):
            start = f"({entries[-1][0].decode()}"
            for _, fields in entries:
                event = decode(fields[b"data"])
                if event.id in seen:
                    copies += 1
                    continue
                seen.add(event.id)
                number, before = last.get(event.subject or "", (0, ""))
                disordered += event.sequence != str(number + 1) or event.id <= before
                last[event.subject or ""] = (number + 1, event.id)
        return Order(copies, disordered)

    async def rebuild(self, *, yes: bool = False) -> Rebuilt:
        """What `opsplane topic rebuild` does."""
        broker = connect(self.url)
        try:
            return await rebuild(Backbone(self.pool, broker, "alice", {"shop": self.pool}), yes=yes)
        finally:
            await broker.close()

    async def noted(self) -> bool:
        """Whether the group's position is written for the broker as it is now."""
        return await self.number(NOTED) > 0

    async def wiped(self) -> bool:
        """Whether a loss of the broker was noticed and not repaired yet."""
        return (
            await self.number(
                "select count(*) as n from broker_incarnation where lost_at is not null and rebuilt_at is null"
            )
            > 0
        )

    async def close(self) -> None:
        """End the processes and the connections."""
        for process in self._processes:
            self.kill(process)
        await self.store.aclose()


async def eventually(check: Callable[[], Any], seconds: float = 30.0) -> None:
    """Return when `check`, a coroutine function, has said yes."""
    async with asyncio.timeout(seconds):
        while not await check():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def lab_on(dsn: str, url: str, notes: Path) -> AsyncIterator[Lab]:
    """A lab on an empty database and broker."""
    async with AsyncExitStack() as stack:
        pool = await Pool.open(dsn, max_size=4, timeout=30.0)
        stack.push_async_callback(pool.close)
        for source, package in SOURCES.items():
            await migrate(pool, source, package)
        await pool.execute(
            "create table effect (event_id text not null, at timestamptz default clock_timestamp())"
        )
        lab = Lab(pool, url, notes)
        stack.push_async_callback(lab.close)
        yield lab
