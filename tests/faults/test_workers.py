"""Workers that die, hang or lose their database: no task is lost, none has its effect twice, none by a stale hand.

Each experiment has a control without the fault and a planted defect that the same check must see. The short form runs
with the suite, `make faults` runs the long one; both print their figures.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.faults.worker_process import effect

from opsplane.database import Doorbell, Pool, migrate
from opsplane.embedded import Postgres
from opsplane.resilience import Stop, run_duties
from opsplane.tasks import NewTask, Producer, Rescuer

ROOT = Path(__file__).parents[2]
SHORT, LONG = 400, 5000
SIZES = [SHORT, pytest.param(LONG, marks=pytest.mark.long)]


class Verdict(NamedTuple):
    """What the history says."""

    lost: int
    doubled: int
    stale: int
    started_twice: int


class Lab:
    """One operations database under test."""

    def __init__(self, pool: Pool, doorbell: Doorbell) -> None:
        self.pool, self.doorbell = pool, doorbell
        self.dsn = str.__str__(pool.dsn)

    async def create(self, count: int, seconds: float) -> None:
        producer = Producer(self.pool, [effect], None, self.doorbell)
        async with self.pool.transaction() as tx:
            await producer.create_many(tx, [NewTask(task_type="effect", params={"seconds": seconds})] * count)

    @contextmanager
    def worker(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "tests.faults.worker_process", self.dsn, *options]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    @asynccontextmanager
    async def rescuing(self, **options: Any) -> AsyncIterator[None]:
        stop = Stop()
        rescuer = Rescuer(self.pool, [effect], doorbell=self.doorbell, **options)
        running = asyncio.create_task(run_duties([rescuer], stop))
        try:
            yield
        finally:
            stop.set()
            await running

    async def number(self, statement: str) -> float:
        row = await self.pool.fetch_one(statement.encode())  # type: ignore[arg-type]
        return float(row["n"] or 0) if row else 0.0

    async def until(self, statement: str, least: float, seconds: float = 120.0) -> bool:
        deadline = time.monotonic() + seconds
        while await self.number(statement) < least:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.05)
        return True

    async def verdict(self, count: int) -> Verdict:
        done = await self.number("select count(*) as n from task_history where status = 3")
        doubled = (
            "select count(*) as n from (select from effect group by task_id having count(*) > 1) as twice"
        )
        stale = """
            select count(*) as n from effect
            where token < (select max(token) from started where started.task_id = effect.task_id)
        """
        twice = (
            "select count(*) as n from (select from started group by task_id having count(*) > 1) as twice"
        )
        return Verdict(
            count - int(done),
            int(await self.number(doubled)),
            int(await self.number(stale)),
            int(await self.number(twice)),
        )


DONE = "select count(*) as n from task_history where status = 3"
STARTED = "select count(*) as n from started"


@asynccontextmanager
async def lab_on(dsn: str) -> AsyncIterator[Lab]:
    async with AsyncExitStack() as stack:
        pool = await Pool.open(dsn, timeout=30.0)
        stack.push_async_callback(pool.close)
        doorbell = Doorbell(dsn)
        stack.push_async_callback(doorbell.close)
        for source in ("events", "tasks"):
            await migrate(pool, source, f"opsplane.{source}.migrations")
        for table in ("started", "effect"):
            await pool.execute(
                f"create table {table} (task_id uuid, token bigint, at timestamptz default clock_timestamp())".encode()  # type: ignore[arg-type]
            )
        yield Lab(pool, doorbell)


@pytest.fixture
async def lab(database: str) -> AsyncIterator[Lab]:
    async with lab_on(database) as found:
        yield found


@pytest.mark.parametrize("count", SIZES)
async def test_a_worker_killed_in_the_middle_loses_and_doubles_nothing(lab: Lab, count: int) -> None:
    await lab.create(count, 0.05)
    async with lab.rescuing(grace=0.0):  # the server has just started; nobody lost a lease with it
        with lab.worker(), lab.worker() as victim:
            assert await lab.until(STARTED, count / 4)
            victim.send_signal(signal.SIGKILL)
            killed = time.time()
            assert await lab.until(DONE, count)
    again = f"""
        select extract(epoch from min(second.at)) - {killed} as n from started as first
        join started as second on second.task_id = first.task_id and second.token > first.token
    """
    verdict = await lab.verdict(count)
    recovered = await lab.number(again)
    print(f"\nkill -9 of a worker: {count} tasks, {verdict}, first recovery after {recovered:.2f} s")
    assert verdict[:3] == (0, 0, 0)
    assert verdict.started_twice > 0  # the fault did hit running tasks


async def test_control_without_a_fault_nothing_starts_twice(lab: Lab) -> None:
    await lab.create(SHORT, 0.01)
    async with lab.rescuing():
        with lab.worker(), lab.worker():
            assert await lab.until(DONE, SHORT)
    assert await lab.verdict(SHORT) == (0, 0, 0, 0)


async def test_planted_without_a_rescuer_the_loss_is_seen(lab: Lab) -> None:
    await lab.create(SHORT, 0.05)
    with lab.worker(), lab.worker() as victim:
        assert await lab.until(STARTED, SHORT / 4)
        victim.send_signal(signal.SIGKILL)
        assert not await lab.until(DONE, SHORT, seconds=6.0)
    assert (await lab.verdict(SHORT)).lost > 0


@pytest.mark.parametrize("pause", [4.0, pytest.param(60.0, marks=pytest.mark.long)])
async def test_a_stopped_worker_is_not_believed_dead(lab: Lab, pause: float) -> None:
    await lab.create(40, 1.0)
    async with lab.rescuing():
        with lab.worker() as stopped, lab.worker():
            assert await lab.until(STARTED, 20)
            stopped.send_signal(signal.SIGSTOP)
            await asyncio.sleep(pause)
            stopped.send_signal(signal.SIGCONT)
            assert await lab.until(DONE, 40)
    verdict = await lab.verdict(40)
    print(f"\nSIGSTOP for {pause:g} s: {verdict}")
    assert verdict == (0, 0, 0, 0)


async def _given_up(lab: Lab, *options: str) -> Verdict:
    """The verdict on a task whose stopped worker was given up, and which comes back while another runs it."""
    await lab.create(1, 3.0)
    async with lab.rescuing(silence=1.0):
        with lab.worker(*options) as stopped:
            assert await lab.until(STARTED, 1)
            stopped.send_signal(signal.SIGSTOP)
            with lab.worker(*options):
                assert await lab.until(STARTED, 2)
                await asyncio.sleep(1.0)
                stopped.send_signal(signal.SIGCONT)
                assert await lab.until(DONE, 1)
                await asyncio.sleep(0.5)
    return await lab.verdict(1)


async def test_the_write_of_a_worker_that_was_given_up_is_refused(lab: Lab) -> None:
    assert await _given_up(lab) == (0, 0, 0, 1)


async def test_planted_without_the_fence_the_stale_write_is_seen(lab: Lab) -> None:
    assert (await _given_up(lab, "--unfenced")).stale == 1


@pytest.mark.parametrize("count", SIZES)
async def test_workers_go_on_when_postgresql_was_restarted(server: Postgres, count: int) -> None:
    server.provision({"operations": "operations"})
    async with lab_on(server.dsn("operations", "operations", "operations")) as lab:
        await lab.create(count, 0.05)
        async with lab.rescuing():
            with lab.worker(), lab.worker():
                assert await lab.until(STARTED, count / 4)
                await asyncio.to_thread(server.stop)
                await asyncio.to_thread(server.start)
                back = time.time()
                assert await lab.until(DONE, count)
        verdict = await lab.verdict(count)
        resumed = await lab.number(
            f"select extract(epoch from min(at)) - {back} as n from started where at > to_timestamp({back})"
        )
        print(f"\nPostgreSQL restarted: {count} tasks, {verdict}, resumed after {resumed:.2f} s")
        assert verdict[:3] == (0, 0, 0)
