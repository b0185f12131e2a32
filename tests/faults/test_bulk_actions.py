"""A bulk cancel whose runner is killed again and again: every task is cancelled, told and counted exactly once.

The control is the same without a kill; the planted defect keeps the place apart from the batch, and the same check
sees the tasks that were lost.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from tests.faults.test_workers import ROOT, Lab, lab

from opsplane.resilience import Retry
from opsplane.tasks import BulkBook, NewTask, Producer, Status, TaskContext, TaskFilter, TaskStore, task

__all__ = ["lab"]  # the fixture
SIZES = [(3000, 50), pytest.param((100_000, 500), marks=pytest.mark.long)]


@task("meant", emit="ends", retry=Retry(0))
async def meant(_ctx: TaskContext, _params: dict[str, Any]) -> None:
    """Only ever created here."""


class Verdict(NamedTuple):
    """What the tables say."""

    lost: int  # neither cancelled nor counted as anything else
    doubled: int  # in the history or told more than once
    miscounted: int  # by how much the counts differ from what happened
    attempts: int


@contextmanager
def runner(lab: Lab, batch: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.faults.bulk_process", lab.dsn, str(batch), *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def cancel_all(lab: Lab, size: tuple[int, int], kills: int, *options: str) -> Verdict:
    """Kill the runner as many times, spread over the work, then let it come to the end."""
    count, batch = size
    producer = Producer(lab.pool, [meant], None, lab.doorbell)
    async with lab.pool.transaction() as tx:
        await producer.create_many(tx, [NewTask(task_type="meant")] * count)
    book = BulkBook(lab.pool, lab.doorbell)
    bulk = await book.start(await book.ask("cancel", TaskFilter(task_type="meant"), "sam"))
    gone = "select count(*) as n from task_history where task_type = 'meant'"
    for kill in range(1, kills + 1):
        with runner(lab, batch, *options) as victim:
            assert await lab.until(gone, count * kill / (kills + 2), 600.0)
            victim.send_signal(signal.SIGKILL)
    with runner(lab, batch, *options):
        began = time.monotonic()
        assert await lab.until(
            "select count(*) as n from task_history where task_type = 'task.bulk'", 1, 900.0
        )
        seconds = time.monotonic() - began
    done = await TaskStore(lab.pool).get(bulk.id)
    assert done.status is Status.COMPLETED
    print(
        f"\n{count} tasks, {kills} kills, the last runner took {seconds:.1f} s with its start: {done.result}"
    )
    left = int(await lab.number("select count(*) as n from task where task_type = 'meant'"))
    rows = int(await lab.number(gone))
    told = int(await lab.number("select count(distinct subject) as n from outbox"))
    events = int(await lab.number("select count(*) as n from outbox"))
    counted = (done.result or {})["cancelled"]
    return Verdict(left, (rows + left - count) + (events - told), abs(counted - rows), done.attempt)


@pytest.mark.parametrize("size", SIZES)
async def test_every_task_is_cancelled_and_counted_once_whenever_the_runner_is_killed(
    lab: Lab, size: tuple[int, int]
) -> None:
    assert await cancel_all(lab, size, 3) == Verdict(0, 0, 0, 4)


@pytest.mark.parametrize("size", SIZES)
async def test_control_without_a_kill(lab: Lab, size: tuple[int, int]) -> None:
    assert await cancel_all(lab, size, 0) == Verdict(0, 0, 0, 1)


async def test_planted_a_place_kept_apart_from_its_batch_loses_tasks_which_is_seen(lab: Lab) -> None:
    found = await cancel_all(lab, (3000, 50), 3, "--apart")
    print(f"\nplanted, place kept apart: {found}")
    assert found.lost > 0
    assert found.miscounted > 0
