"""A task of twelve steps whose worker is killed at each of them in turn: no finished step is run again.

The control is the same task without a kill; the planted defect does not keep its steps, and the same check sees it.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from tests.faults.step_process import STEPS, stairs
from tests.faults.test_workers import ROOT, Lab, lab

from opsplane.tasks import NewTask, Producer, Status, TaskStore

__all__ = ["lab"]  # the fixture
EACH = tuple(range(1, STEPS + 1))


class Climb(NamedTuple):
    """What the history says of the one task."""

    repeated: int  # steps that had their effect more than once
    called_again: int  # steps that were called again although they had finished
    interrupted: int  # steps that were called again because they had not
    attempts: int


@contextmanager
def worker(lab: Lab, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.faults.step_process", lab.dsn, *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def climb(lab: Lab, stops: Sequence[int], *options: str, end: bool = True) -> Climb:
    """Kill the worker inside each of `stops`, then let the task come to its end."""
    for table in ("called", "climbed"):
        await lab.pool.execute(f"create table {table} (task_id uuid, step int, attempt int)".encode())  # type: ignore[arg-type]
    made = await Producer(lab.pool, [stairs], None, lab.doorbell).submit(
        NewTask(task_type="stairs", params={"stops": list(stops)})
    )
    async with lab.rescuing(grace=0.0):
        for attempt, step in enumerate(stops, 1):
            with worker(lab, *options) as victim:
                there = f"select count(*) as n from called where step = {step} and attempt = {attempt}"
                assert await lab.until(there, 1)
                victim.send_signal(signal.SIGKILL)
        if end:
            with worker(lab, *options):
                assert await lab.until("select count(*) as n from task_history", 1)
    if end:
        done = await TaskStore(lab.pool).get(made.id)
        assert (done.status, done.result) == (Status.COMPLETED, {"sum": sum(n * n for n in EACH)})
    twice = "select count(*) as n from (select from climbed group by step having count(*) > 1) as twice"
    again = """
        select count(*) as n from called
        where exists (select from climbed where climbed.step = called.step and climbed.attempt < called.attempt)
    """
    interrupted = "select count(*) as n from (select from called group by step having count(*) > 1) as twice"
    attempts = "select max(attempt) as n from called"
    return Climb(*[int(await lab.number(question)) for question in (twice, again, interrupted, attempts)])


@pytest.mark.parametrize("stops", [(1, 12), pytest.param(EACH, marks=pytest.mark.long)])
async def test_no_finished_step_runs_again_when_its_worker_is_killed(
    lab: Lab, stops: tuple[int, ...]
) -> None:
    found = await climb(lab, stops)
    print(f"\nkill -9 inside steps {stops} of {STEPS}: {found}")
    assert found == Climb(0, 0, len(stops), len(stops) + 1)


async def test_control_without_a_kill_each_step_is_called_once(lab: Lab) -> None:
    assert await climb(lab, ()) == Climb(0, 0, 0, 1)


async def test_planted_without_kept_steps_the_repetition_is_seen(lab: Lab) -> None:
    found = await climb(lab, (3, 6), "--unstored", end=False)
    print(f"\nplanted, steps not kept: {found}")
    assert found.repeated == 2
    assert found.called_again > 0
