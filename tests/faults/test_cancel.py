"""Running tasks that are cancelled, in each isolation: how long it takes, what is written and told, and what is left.

A handler that looks whether it is wanted ends within a second, one that does not within its grace; a thread that blocks is
given its grace once more to clean up, and left alone. The planted defect is a handler's process that is not ended.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from tests.faults.cancel_tasks import GRACE, declared
from tests.faults.test_workers import ROOT, Lab, lab

from opsplane.events import Outbox
from opsplane.tasks import NewTask, Producer, Status, TaskControl, TaskStore, task_schemas

__all__ = ["lab"]  # the fixture
MARGIN = 5.0  # a busy machine's
PROMISES = {
    ("async", "looks"): 1.0, ("thread", "looks"): 1.0, ("process", "looks"): 1.0,
    ("async", "waits"): GRACE, ("thread", "waits"): GRACE, ("process", "waits"): GRACE,
    ("thread", "blocks"): 2 * GRACE, ("process", "blocks"): GRACE,
}  # fmt: skip
BEGAN = "select count(*) as n from began"


class Left(NamedTuple):
    """What there is after the end."""

    status: Status
    cleaned: int  # handlers that came to their end
    running: bool  # the handler's process
    files: bool  # its temporary files
    told: tuple[str, ...]  # of its story, and published


@contextmanager
def worker(lab: Lab, statement: str = "main()") -> Iterator[subprocess.Popen[bytes]]:
    code = f"from tests.faults.cancel_tasks import *; {statement}"
    process = subprocess.Popen([sys.executable, "-c", code, lab.dsn], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def cancel(lab: Lab, isolation: str, how: str, statement: str = "main()") -> tuple[float, Left]:
    """Seconds from the request to the end, and what is left then."""
    outbox = Outbox(task_schemas(), "operations")
    await lab.pool.execute("create table began (task_id uuid, pid int, place text)")
    await lab.pool.execute("create table cleaned (task_id uuid)")
    producer = Producer(lab.pool, declared(), outbox, lab.doorbell)
    made = await producer.submit(NewTask(task_type=isolation, params={"how": how}))
    with worker(lab, statement) as process:
        assert await lab.until(BEGAN, 1)
        await TaskControl(lab.pool, outbox, lab.doorbell).cancel(made.id, "alice")
        asked = time.monotonic()
        assert await lab.until("select count(*) as n from task_history", 1)
        took = time.monotonic() - asked
        [began] = await lab.pool.fetch("select pid, place from began")
        told = [f"select kind from task_event where task_id = '{made.id}' and kind like 'cancel%%'"]
        told += [f"select topic as kind from outbox where subject = '{made.id}' and topic like '%%cancelled'"]
        kinds = [row["kind"] for question in told for row in await lab.pool.fetch(question.encode())]  # type: ignore[arg-type]
        return took, Left(
            (await TaskStore(lab.pool).get(made.id)).status,
            int(await lab.number("select count(*) as n from cleaned")),
            began["pid"] != process.pid and psutil.pid_exists(began["pid"]),
            Path(began["place"]).exists(),
            tuple(kinds),
        )


@pytest.mark.parametrize(("isolation", "how"), PROMISES)
async def test_a_cancelled_task_ends_in_its_time_and_leaves_nothing(
    lab: Lab, isolation: str, how: str
) -> None:
    promise = PROMISES[isolation, how]
    took, left = await cancel(lab, isolation, how)
    print(f"\ncancel, {isolation}, {how}: {took:.2f} s, promised {promise:g} s: {left}")
    assert took < promise + MARGIN
    ends = how == "looks" or (isolation, how) in (("async", "waits"), ("thread", "waits"))
    blocked = (isolation, how) == ("thread", "blocks")  # it goes on: its worker cannot end it
    told = ("cancel_requested", "operations.task.cancelled")
    assert left == Left(Status.CANCELLED, int(ends), False, blocked, told)


async def test_planted_a_process_that_is_not_ended_is_seen(lab: Lab) -> None:
    statement = (
        "from opsplane.tasks.executors import process; process._end = lambda _: asyncio.sleep(0); main()"
    )
    took, left = await cancel(lab, "process", "blocks", statement)
    print(f"\nplanted, a process that is not ended: {took:.2f} s: {left}")
    assert left.running
