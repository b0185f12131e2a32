"""A worker whose event loop is blocked is alive: its task is not started again; one beyond its timeout is ended for it.

The control is a second worker that could take the task; the planted defect is a beat that waits for the loop, and the
same check must see it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.faults.blocking_process import block
from tests.faults.test_workers import ROOT, STARTED, Lab, Verdict, lab

from opsplane.tasks import NewTask, Producer, Status, TaskStore, rescuer
from opsplane.tasks.rescuer import SILENCE

__all__ = ["lab"]  # the fixture
ENDED = "select count(*) as n from task_history"


@contextmanager
def worker(lab: Lab, *options: str) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.faults.blocking_process", lab.dsn, *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def blocked(lab: Lab, seconds: float, silence: float, *options: str) -> Verdict:
    """The verdict on a task that blocks its worker's loop for `seconds`, while another worker has nothing to do."""
    producer = Producer(lab.pool, [block], None, lab.doorbell)
    await producer.submit(NewTask(task_type="block", params={"seconds": seconds}))
    async with lab.rescuing(silence=silence):
        with worker(lab, *options), worker(lab, *options):
            assert await lab.until(ENDED, 1, seconds=3 * seconds + 60.0)
    return await lab.verdict(1)


@pytest.mark.parametrize(
    ("seconds", "silence"),
    [
        (8.0, 4.0),
        pytest.param(600.0, SILENCE, marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
async def test_a_worker_with_a_blocked_loop_keeps_its_task(lab: Lab, seconds: float, silence: float) -> None:
    verdict = await blocked(lab, seconds, silence)
    print(f"\na loop blocked for {seconds:g} s, given up after {silence:g} s of silence: {verdict}")
    assert verdict == Verdict(0, 0, 0, 0)


@pytest.mark.long
async def test_planted_a_beat_that_waits_for_the_loop_is_seen(lab: Lab) -> None:
    verdict = await blocked(lab, 12.0, 3.0, "--beats-in-loop")
    print(f"\nplanted, a beat that waits for the loop: {verdict}")
    assert verdict.started_twice == 1


async def test_a_hung_task_is_timed_out_though_its_worker_beats(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    margin = 2.0
    monkeypatch.setattr(rescuer, "MARGIN", margin)
    producer = Producer(lab.pool, [block], None, lab.doorbell)
    new = NewTask(task_type="block", params={"seconds": 3600}, timeout_seconds=1.0)
    made = await producer.submit(new)
    async with lab.rescuing():
        with worker(lab):
            assert await lab.until(STARTED, 1)
            began = time.monotonic()
            assert await lab.until(ENDED, 1)
            took = time.monotonic() - began
    done = await TaskStore(lab.pool).get(made.id)
    print(f"\na hung task with a timeout of 1 s and a margin of {margin:g} s: ended after {took:.1f} s")
    assert (done.status, done.error_kind) == (Status.FAILED, "TimedOut")
