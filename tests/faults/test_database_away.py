"""PostgreSQL crashes and stays away while long tasks run: when it is back nobody's task is taken, and none runs twice.

The workers are still stopped when it is back, so that rescuers see their leases free. The control is the rescuer that
waits its grace; the planted defect is one that does not, and the same check must see it.
"""

from __future__ import annotations

import asyncio
import signal
from typing import NamedTuple

import pytest
from tests.faults.test_events import end
from tests.faults.test_workers import DONE, STARTED, Verdict, lab_on

from opsplane.embedded import Postgres
from opsplane.embedded.postgres import PostgresFailed

TASKS = 40
LATE = 2.0  # seconds the workers come back later than the database; the grace is five


class Times(NamedTuple):
    """Seconds the database is away, and a task takes."""

    away: float
    task: float


SHORT, LONG = Times(8.0, 30.0), Times(60.0, 90.0)


async def start(server: Postgres) -> None:
    """Start PostgreSQL; what a killed one leaves behind may take its time to go."""
    for _ in range(20):
        try:
            await asyncio.to_thread(server.start)
        except PostgresFailed:
            await asyncio.sleep(0.5)
        else:
            return


async def crash(server: Postgres, how: str, times: Times, grace: float) -> Verdict:
    """The verdict on tasks whose database crashed and was away while they ran."""
    server.provision({"operations": "operations"})
    async with lab_on(server.dsn("operations", "operations", "operations")) as lab:
        await lab.create(TASKS, times.task)
        with lab.worker() as one, lab.worker() as other:
            assert await lab.until(STARTED, TASKS)
            await asyncio.to_thread(end, server, how)
            await asyncio.sleep(times.away)
            for worker in (one, other):
                worker.send_signal(signal.SIGSTOP)
            await start(server)
            async with lab.rescuing(grace=grace):
                await asyncio.sleep(LATE)
                for worker in (one, other):
                    worker.send_signal(signal.SIGCONT)
                assert await lab.until(DONE, TASKS, seconds=3 * times.task + 60.0)
                return await lab.verdict(TASKS)


@pytest.mark.parametrize(
    ("how", "times"),
    [
        pytest.param("kill", SHORT, marks=pytest.mark.long),
        *(
            pytest.param(how, LONG, marks=[pytest.mark.long, pytest.mark.timeout(480)])
            for how in ("kill", "immediate")
        ),
    ],
)
async def test_nothing_is_rescued_wrongly_when_a_crashed_database_returns(
    server: Postgres, how: str, times: Times
) -> None:
    verdict = await crash(server, how, times, grace=5.0)
    print(
        f"\nPostgreSQL crashed ({how}) and away for {times.away:g} s: {TASKS} tasks of {times.task:g} s: {verdict}"
    )
    assert verdict == Verdict(0, 0, 0, 0)


@pytest.mark.long
async def test_planted_without_the_grace_the_wrong_rescue_is_seen(server: Postgres) -> None:
    verdict = await crash(server, "kill", Times(1.0, 15.0), grace=0.0)
    print(f"\nplanted, a rescuer without grace: {verdict}")
    assert verdict.started_twice > 0
