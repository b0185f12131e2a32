"""A dependency is away: its breaker opens, events wait without spending an attempt, and then all happen once, in order.

Each experiment has a control and planted defects that the same check must see. The short form runs with the suite,
`make faults` runs the long one; both print their figures.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.faults.breaker_process import GROUP, TOPIC

from opsplane.clock import SYSTEM
from opsplane.database import Pool, migrate
from opsplane.embedded import Valkey
from opsplane.events import Broker, Entry, RetryMover, connect, encode, new_event
from opsplane.events.brokers import keys
from opsplane.resilience import Stop, run_duties

ROOT = Path(__file__).parents[2]
NAME = f"{GROUP}:callee"
TICK = 0.02


class Verdict(NamedTuple):
    """What the history says; `disordered` counts effects a process had before that of an earlier entry."""

    lost: int
    doubled: int
    attempts: int
    dead: int
    disordered: int


class Lab:
    """A dependency, two consumers of the events that need it, and what is seen from outside."""

    def __init__(self, pool: Pool, broker: Broker, service_url: str, path: Path) -> None:
        self.pool, self.broker, self.url, self.socket = pool, broker, service_url, path
        self.server: asyncio.Server | None = None
        self.published = 0
        self.opened_at: float | None = None
        self.closed_at: float | None = None
        self.most_pending = 0
        self.asked = 0

    async def answer(self) -> None:
        """The dependency is there from now on."""

        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.asked += 1
            writer.close()

        self.server = await asyncio.start_unix_server(greet, self.socket, backlog=512)

    async def leave(self) -> None:
        """The dependency is away from now on: connections are refused."""
        assert self.server is not None
        self.server.close()
        self.socket.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as nobody:
            nobody.bind(str(self.socket))

    @contextmanager
    def consumers(self, *options: str) -> Iterator[None]:
        command = [sys.executable, "-m", "tests.faults.breaker_process", self.url, str.__str__(self.pool.dsn)]
        command += [str(self.socket), *options]
        processes = [
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for _ in range(2)
        ]
        try:
            yield
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.kill()
                process.wait()

    async def publish(self, rate: int, seconds: float) -> None:
        start, first = time.monotonic(), self.published
        while (passed := time.monotonic() - start) < seconds:
            await self._emit(int(first + rate * passed) - self.published)
            await self._look()
            await asyncio.sleep(TICK)

    async def _emit(self, count: int) -> None:
        numbers = range(self.published, self.published + count)
        events = [new_event(TOPIC, {"n": number}, source="lab", id=str(number)) for number in numbers]
        await self.broker.publish_many([Entry(TOPIC, encode(event)) for event in events])
        self.published += count

    async def _look(self) -> None:
        opened = await self.opened()
        if self.opened_at is None and opened:
            self.opened_at = time.monotonic()
        if self.opened_at is not None and not opened:
            self.closed_at = self.closed_at or time.monotonic()
        pending = await self.broker.call("XPENDING", TOPIC, GROUP)
        self.most_pending = max(self.most_pending, int(pending[0]))

    async def opened(self) -> bool:
        text = await self.broker.call("HGET", keys.BREAKERS, NAME)
        return text is not None and bool(json.loads(text)["opened"])

    async def number(self, statement: str) -> int:
        row = await self.pool.fetch_one(statement.encode())  # type: ignore[arg-type]
        return int(row["n"] or 0) if row else 0

    async def drained(self, seconds: float) -> bool:
        """Whether every event published had its effect or is a dead letter within so many seconds."""
        deadline = time.monotonic() + seconds
        while await self.number(DISTINCT) + await self.dead() < self.published:
            if time.monotonic() > deadline:
                return False
            await self._look()
            await asyncio.sleep(0.05)
        return True

    async def dead(self) -> int:
        return int(await self.broker.call("XLEN", f"{TOPIC}.dlq"))

    async def fingerprints(self) -> set[str]:
        entries = await self.broker.call("XRANGE", f"{TOPIC}.dlq", "-", "+")
        return {json.loads(fields[fields.index(b"metadata") + 1])["fingerprint"] for _, fields in entries}

    async def attempts(self) -> int:
        """How many retries were ever scheduled."""
        waiting = int(await self.broker.call("ZCARD", keys.retry_schedule(GROUP)))
        info = await self.broker.call("XINFO", "STREAM", keys.retry_stream(GROUP))
        return waiting + int(info[info.index(b"entries-added") + 1])

    async def verdict(self) -> Verdict:
        done = await self.number(DISTINCT)
        dead = await self.dead()
        return Verdict(
            self.published - done - dead,
            await self.number("select count(*) as n from effect") - done,
            await self.attempts(),
            dead,
            await self.number(DISORDERED),
        )


DISTINCT = "select count(distinct number) as n from effect"
DISORDERED = """
    select count(*) as n from
        (select number < lag(number) over (partition by process order by id) as late from effect) as effects
    where late
"""


@pytest.fixture
async def lab(
    database: str, broker_url: str, valkey_engine: Valkey, engine_directory: Path
) -> AsyncIterator[Lab]:
    async with AsyncExitStack() as stack:
        pool = await Pool.open(database)
        stack.push_async_callback(pool.close)
        await migrate(pool, "events", "opsplane.events.migrations")
        await pool.execute("create table effect (id bigserial, number bigint, process int)")
        broker = connect(broker_url)
        stack.push_async_callback(broker.close)
        found = Lab(pool, broker, valkey_engine.url("service"), engine_directory / "callee.sock")
        await found.answer()
        await broker.call("XGROUP", "CREATE", TOPIC, GROUP, "0", "MKSTREAM")
        yield found
        await found.leave()


@asynccontextmanager
async def retrying(lab: Lab) -> AsyncIterator[None]:
    stop = Stop()
    running = asyncio.create_task(run_duties([RetryMover(lab.broker, [GROUP], SYSTEM)], stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def outage(lab: Lab, rate: int, seconds: float, *options: str, patience: float = 60.0) -> Verdict:
    """The verdict after the dependency was away for so many seconds under a steady rate of events."""
    async with retrying(lab):
        with lab.consumers(*options):
            await lab.publish(rate, 1.5)
            assert await lab.drained(30), "before the outage all goes well"
            await lab.leave()
            away, asked = time.monotonic(), lab.asked
            lab.most_pending = 0
            await lab.publish(rate, seconds)
            opened = None if lab.opened_at is None else round(lab.opened_at - away, 2)
            back, backlog = time.monotonic(), lab.published - await lab.number(DISTINCT)
            await lab.answer()
            await lab.publish(rate, 1.0)
            drained = await lab.drained(patience)
            took = time.monotonic() - back
            closed = None if lab.closed_at is None else round(lab.closed_at - back, 2)
            verdict = await lab.verdict()
    print(
        f"\n{options or 'as it is'}: away {seconds:g} s under {rate}/s, open after {opened} s, held at most"
        f" {lab.most_pending}, closed {closed} s after its return, backlog {backlog} drained {drained} after {took:.1f} s"
        f" ({lab.asked - asked} calls), {lab.published} events, {verdict}"
    )
    return verdict


async def test_a_short_outage_costs_no_attempt_and_loses_doubles_and_disorders_nothing(lab: Lab) -> None:
    assert await outage(lab, 200, 4.0) == (0, 0, 0, 0, 0)
    assert lab.opened_at is not None
    assert not await lab.opened()


@pytest.mark.long
async def test_two_minutes_under_500_events_a_second(lab: Lab) -> None:
    assert await outage(lab, 500, 120.0, "--batches", patience=300.0) == (0, 0, 0, 0, 0)
    assert lab.opened_at is not None


async def test_planted_a_breaker_that_does_not_hold_is_seen(lab: Lab) -> None:
    verdict = await outage(lab, 200, 2.0, "--never-holds", patience=5.0)
    assert verdict.attempts > 0
    assert verdict.dead > 0


async def test_planted_a_forgotten_order_is_seen(lab: Lab) -> None:
    verdict = await outage(lab, 200, 2.0, "--forgets-order")
    assert verdict.disordered > 0
    assert verdict[:4] == (0, 0, 0, 0)


async def bug(lab: Lab, *options: str) -> tuple[bool, int, int]:
    """Whether the breaker opened, how many events are dead letters, and their fingerprints."""
    async with retrying(lab):
        with lab.consumers("--buggy", *options):
            await lab.publish(200, 1.0)
            deadline = time.monotonic() + (20.0 if not options else 4.0)
            while await lab.dead() < lab.published and time.monotonic() < deadline:
                await lab._look()
                await asyncio.sleep(TICK)
    found = lab.opened_at is not None, await lab.dead(), len(await lab.fingerprints())
    print(
        f"\na bug {options or ''}: {lab.published} events, opened {found[0]}, dead {found[1]}, causes {found[2]}"
    )
    return found


async def test_a_handler_with_a_bug_opens_nothing_and_its_events_are_dead_letters_of_one_cause(
    lab: Lab,
) -> None:
    assert await bug(lab) == (False, lab.published, 1)


async def test_planted_a_bug_taken_for_an_absence_is_seen(lab: Lab) -> None:
    opened, dead, _ = await bug(lab, "--counts-bugs")
    assert opened
    assert dead < lab.published
