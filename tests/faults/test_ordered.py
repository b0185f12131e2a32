"""Ordered groups whose members are killed and stopped: the order of effects within each subject is exact.

What is judged is a history that handlers write in the transaction of their effect. Each experiment has a control and
planted defects that the same check must see; all print their figures.
"""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.faults.ordered_process import GROUP, TOPIC

from opsplane.clock import SYSTEM
from opsplane.database import Pool, migrate
from opsplane.embedded import Valkey
from opsplane.events import Broker, Entry, RetryMover, connect, encode, new_event
from opsplane.events.ordered import parked_subjects
from opsplane.resilience import Stop, run_duties

ROOT = Path(__file__).parents[2]
MEMBERS = 4
DONE = "select count(*) as n from history"


class Size(NamedTuple):
    """How much of it."""

    events: int
    subjects: int
    kills: int


SHORT, LONG = Size(3000, 50, 3), Size(100_000, 1000, 60)
SIZES = [SHORT, pytest.param(LONG, marks=[pytest.mark.long, pytest.mark.timeout(1500)])]
FEW = [SHORT, pytest.param(LONG._replace(subjects=50), marks=[pytest.mark.long, pytest.mark.timeout(1500)])]


class Verdict(NamedTuple):
    """What the history says: effects that are missing, that are there twice, that came after a later one."""

    lost: int
    doubled: int
    disordered: int


class Lab:
    """One group's database and broker, and its members."""

    def __init__(self, pool: Pool, broker: Broker, url: str, log: Path) -> None:
        self.pool, self.broker, self.url, self.log = pool, broker, url, log
        self.dsn = str.__str__(pool.dsn)
        self.members: list[subprocess.Popen[bytes]] = []
        self.sent: dict[str, list[int]] = defaultdict(list)

    def start(self, mode: str, *options: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.faults.ordered_process", self.dsn, self.url, mode]
        with self.log.open("ab") as output:
            member = subprocess.Popen([*command, *map(str, options)], cwd=ROOT, stdout=output, stderr=output)
        self.members.append(member)
        return member

    def kill(self, member: subprocess.Popen[bytes]) -> None:
        self.members.remove(member)
        member.kill()
        member.wait()

    async def publish(self, size: Size) -> None:
        numbers = range(size.events)
        for first in range(0, size.events, 1000):
            entries = []
            for n in numbers[first : first + 1000]:
                subject = f"s{n * 7919 % size.subjects}"
                self.sent[subject].append(n)
                data = {"n": n, "fails": n % 101 == 0}
                event = new_event(TOPIC, data, source="shop", subject=subject, id=f"{n:08}")
                entries.append(Entry(TOPIC, encode(event)))
            await self.broker.publish_many(entries)

    async def number(self, statement: str) -> int:
        row = await self.pool.fetch_one(statement.encode())  # type: ignore[arg-type]
        return int(row["n"]) if row else 0

    async def until(self, statement: str, least: int, *, seconds: float = 30.0) -> bool:
        """Whether the statement's `n` reached `least` before `seconds` passed without it growing."""
        best, deadline = -1, time.monotonic() + seconds
        while (found := await self.number(statement)) < least:
            if found > best:
                best, deadline = found, time.monotonic() + seconds
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    async def leader(self) -> subprocess.Popen[bytes] | None:
        """The member that leads now."""
        row = await self.pool.fetch_one("select leader from ordered_group")
        name = row["leader"] if row else ""
        return next((member for member in self.members if f"-{member.pid}-" in name), None)

    async def verdict(self) -> Verdict:
        rows = await self.pool.fetch("select subject, n from history order by id")
        found: dict[str, list[int]] = defaultdict(list)
        for row in rows:
            found[row["subject"]].append(row["n"])
        lost = sum(len(set(sent) - set(found[subject])) for subject, sent in self.sent.items())
        doubled = sum(len(done) - len(set(done)) for done in found.values())
        disordered = sum(after < before for done in found.values() for before, after in pairwise(done))
        return Verdict(lost, doubled, disordered)


@pytest.fixture
async def lab(database: str, valkey_engine: Valkey, broker_url: str, tmp_path: Path) -> AsyncIterator[Lab]:
    async with AsyncExitStack() as stack:
        pool = await Pool.open(database, timeout=30.0)
        stack.push_async_callback(pool.close)
        await migrate(pool, "events", "opsplane.events.migrations")
        for statement in (
            "create table history (id bigint generated always as identity primary key, subject text not null, n int not null, epoch bigint not null, at timestamptz not null default clock_timestamp())",
            "create table failed (event_id text primary key)",
            "create table started (event_id text not null)",
        ):
            await pool.execute(statement.encode())  # type: ignore[arg-type]
        broker = connect(broker_url)
        stack.push_async_callback(broker.close)
        events = connect(valkey_engine.url("events"))
        stack.push_async_callback(events.close)
        found = Lab(pool, broker, valkey_engine.url("service"), tmp_path / "members.log")
        async with moving(events):
            yield found
            for member in list(found.members):
                found.kill(member)


@asynccontextmanager
async def moving(broker: Broker) -> AsyncIterator[None]:
    """The part of the events role that brings retries back."""
    stop = Stop()
    task = asyncio.create_task(run_duties([RetryMover(broker, [GROUP], SYSTEM)], stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def killed(
    lab: Lab, mode: str, size: Size, *options: object, seconds: float = 30.0
) -> tuple[Verdict, str]:
    """The verdict on four members that are killed and started again, half of the time the one that leads."""
    await lab.publish(size)
    dice, began = random.Random(size.events), time.monotonic()
    for _ in range(MEMBERS):
        lab.start(mode, *options)
    assert await lab.until(DONE, 1, seconds=60.0)
    waits: list[float] = []
    for kill in range(size.kills):
        await lab.until(DONE, (kill + 1) * size.events // (size.kills + 1), seconds=seconds)
        victim = (await lab.leader() if kill % 2 == 0 else None) or dice.choice(lab.members)
        before, at = await lab.number(DONE), time.monotonic()
        lab.kill(victim)
        lab.start(mode, *options)
        if kill % 2 == 0 and await lab.until(DONE, before + 1):
            waits.append(time.monotonic() - at)
    await lab.until(DONE, size.events, seconds=seconds)
    took = time.monotonic() - began
    slowest = f"{max(waits):.2f} s" if waits else "-"
    failed = await lab.number("select count(*) as n from failed")
    epochs = await lab.number("select epoch as n from ordered_group")
    told = (
        f"{size.events} events, {size.subjects} subjects, {failed} failed the first time, {size.kills} kills, "
        f"{epochs} leaders, {took:.1f} s; without progress after a leader's death at most {slowest}"
    )
    return await lab.verdict(), told


async def nothing_is_left(lab: Lab) -> bool:
    """Nothing pending, nothing parked, no retry."""
    await asyncio.sleep(1.0)  # the last acknowledgements
    pending = (await lab.broker.call("XPENDING", TOPIC, GROUP))[0]
    retries = await lab.broker.call("ZCARD", f"opsplane:retry:{GROUP}")
    return not pending and not retries and not await parked_subjects(lab.broker, GROUP)


@pytest.mark.parametrize("size", SIZES)
async def test_park_with_members_killed_again_and_again(lab: Lab, size: Size) -> None:
    verdict, told = await killed(lab, "park", size)
    print(f"\nordered park, kill -9: {told}: {verdict}")
    assert verdict == (0, 0, 0)
    assert await nothing_is_left(lab)


@pytest.mark.parametrize("size", FEW)
async def test_skip_with_members_killed_again_and_again(lab: Lab, size: Size) -> None:
    verdict, told = await killed(lab, "skip", size)
    print(f"\nordered skip, kill -9: {told}: {verdict}")
    assert verdict[:2] == (0, 0)
    assert 0 < verdict.disordered <= size.events // 100, (
        "only what failed came later, and nobody waited for it"
    )
    assert await nothing_is_left(lab)


async def test_control_without_a_kill_nothing_is_lost_and_the_order_is_exact(lab: Lab) -> None:
    verdict, told = await killed(lab, "park", SHORT._replace(kills=0))
    print(f"\nordered park, control: {told}: {verdict}")
    assert verdict == (0, 0, 0)


async def test_planted_without_parking_the_disorder_is_seen(lab: Lab) -> None:
    verdict, told = await killed(lab, "skip", SHORT._replace(kills=0))
    print(f"\nplanted, skip for park: {told}: {verdict}")
    assert verdict.disordered > 0


async def test_planted_with_several_leaders_the_disorder_is_seen(lab: Lab) -> None:
    await lab.publish(SHORT)
    for _ in range(MEMBERS):
        lab.start("park", "--all-lead")
    deadline = time.monotonic() + 60.0
    while not (verdict := await lab.verdict()).disordered and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    print(f"\nplanted, everybody leads, at the first sight of it: {verdict}")
    assert verdict.disordered > 0


LOCK = """
    select pid from pg_locks where locktype = 'advisory' and granted
    and database = (select oid from pg_database where datname = current_database())
"""
STALE = """
    select count(*) as n from history, ordered_group
    where history.epoch < ordered_group.epoch and history.at > ordered_group.since
"""


async def stopped(lab: Lab, *options: Any) -> tuple[Verdict, int, float]:
    """The verdict when the leader is stopped amid its work, loses its session, and comes back; effects of the past.

    It does not look whether its session lives: nothing but the fences is between it and the group.
    """
    await lab.publish(Size(100, 10, 0))
    old = lab.start("park", "--note", "--blind", "--concurrency", 4, *options)
    assert await lab.until("select count(*) as n from started", 8)
    old.send_signal(signal.SIGSTOP)
    lab.start("park", "--note", "--concurrency", 4, *options)
    await asyncio.sleep(0.3)
    assert await lab.number("select epoch as n from ordered_group") == 1, "a stopped leader still leads"
    for row in await lab.pool.fetch(LOCK.encode()):  # type: ignore[arg-type]
        await lab.pool.execute("select pg_terminate_backend(%s)", [row["pid"]])
    at = time.monotonic()
    assert await lab.until("select epoch as n from ordered_group", 2)
    taken = time.monotonic() - at
    old.send_signal(signal.SIGCONT)
    await lab.until(DONE, 100)
    return await lab.verdict(), await lab.number(STALE), taken


@pytest.mark.parametrize("place", ["--before", "--inside"])
async def test_a_stopped_leader_that_was_replaced_and_comes_back_has_no_effect(lab: Lab, place: str) -> None:
    verdict, stale, taken = await stopped(lab, place, 0.4)
    print(f"\nSIGSTOP {place}, session ended: {verdict}, {stale} stale effects, replaced after {taken:.2f} s")
    assert verdict == (0, 0, 0)
    assert stale == 0
    assert await nothing_is_left(lab)


async def test_planted_without_the_fence_the_stale_effect_is_seen(lab: Lab) -> None:
    _, stale, _ = await stopped(lab, "--before", 0.4, "--unfenced")
    assert stale > 0
