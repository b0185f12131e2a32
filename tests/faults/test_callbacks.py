"""Senders and workers that are killed, a receiver that is away, a database that restarts: every finished task is told.

Each task's message has one `webhook-id`, however often it comes. The control loses the fault, the planted defect notes a
message before it is sent, and the same check sees it.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.faults.test_workers import ROOT, Lab, lab, lab_on
from tests.faults.worker_process import effect
from tests.receiver import Receiver, receiving

from opsplane.embedded import Postgres
from opsplane.embedded.keys import new_callback_secret, write_callback_secrets
from opsplane.tasks import NewTask, Producer

__all__ = ["lab"]  # the fixture
SIZES = [60, pytest.param(600, marks=pytest.mark.long)]
DELIVERED = "select count(*) as n from task_callback where state = 'delivered'"


class Verdict(NamedTuple):
    """What the receiver says, held against the history."""

    lost: int  # tasks that finished and were not told
    strange: int  # tasks that were told with more than one id, or did not finish
    again: int  # tasks that were told more than once


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    write_callback_secrets(tmp_path / "callbacks.txt", [new_callback_secret()])
    return tmp_path / "callbacks.txt"


@contextmanager
def sender(lab: Lab, receiver: Receiver, secrets: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    place = [lab.dsn, str(receiver.port), str(secrets)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.callback_process", *place, *options],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def owe(lab: Lab, receiver: Receiver, count: int, seconds: float = 0.0) -> None:
    """Tasks with a callback, ready to be run."""
    new = NewTask(task_type="effect", params={"seconds": seconds}, callback_url=receiver.url)
    async with lab.pool.transaction() as tx:
        await Producer(lab.pool, [effect], None, lab.doorbell).create_many(tx, [new] * count)


async def finish(lab: Lab, count: int) -> None:
    with lab.worker():
        assert await lab.until("select count(*) as n from task_history", count)


async def verdict(lab: Lab, receiver: Receiver) -> Verdict:
    rows = await lab.pool.fetch("select id::text as id from task_history")
    finished = {row["id"] for row in rows}
    told: dict[str, list[str]] = {}
    for one in receiver.received:
        told.setdefault(one.task["id"], []).append(one.id)
    strange = sum(task not in finished or len(set(ids)) > 1 for task, ids in told.items())
    return Verdict(len(finished - told.keys()), strange, sum(len(ids) > 1 for ids in told.values()))


async def killed(
    lab: Lab, receiver: Receiver, secrets: Path, count: int, *options: str, kill: bool = True
) -> Verdict:
    """The verdict when the sender dies after messages arrived and before it could note that they did."""
    await owe(lab, receiver, count)
    await finish(lab, count)
    if kill:
        receiver.delay = 60.0
        with sender(lab, receiver, secrets, *options) as victim:
            while not receiver.received:
                await asyncio.sleep(0.01)
            victim.send_signal(signal.SIGKILL)
        receiver.delay = 0.0
        if "--early" in options:
            receiver.received.clear()  # as if the process had died a moment before it sent them
    with sender(lab, receiver, secrets):
        assert await lab.until(DELIVERED, count)
    return await verdict(lab, receiver)


@pytest.mark.parametrize("count", SIZES)
async def test_a_sender_killed_before_it_could_note_it_sends_again_under_the_same_id(
    lab: Lab, secrets: Path, count: int
) -> None:
    async with receiving() as receiver:
        found = await killed(lab, receiver, secrets, count)
    print(f"\nkill -9 of the sender: {count} finished tasks, {found}")
    assert found[:2] == (0, 0)
    assert found.again > 0  # the fault did hit messages on their way


async def test_control_without_a_kill_each_is_told_once(lab: Lab, secrets: Path) -> None:
    async with receiving() as receiver:
        assert await killed(lab, receiver, secrets, 60, kill=False) == Verdict(0, 0, 0)


async def test_planted_noted_before_it_is_sent_the_loss_is_seen(lab: Lab, secrets: Path) -> None:
    async with receiving() as receiver:
        found = await killed(lab, receiver, secrets, 60, "--early")
    print(f"\nplanted, noted before sent: {found}")
    assert found.lost > 0


@pytest.mark.parametrize("count", SIZES)
async def test_workers_killed_while_they_finish_tasks_lose_no_callback(
    lab: Lab, secrets: Path, count: int
) -> None:
    async with receiving() as receiver, lab.rescuing(grace=0.0):
        await owe(lab, receiver, count, seconds=0.05)
        with sender(lab, receiver, secrets):
            for part in (4, 2):
                with lab.worker() as victim:
                    assert await lab.until("select count(*) as n from task_history", count / part)
                    victim.send_signal(signal.SIGKILL)
            await finish(lab, count)
            assert await lab.until(DELIVERED, count)
        found = await verdict(lab, receiver)
    print(f"\nkill -9 of two workers: {count} tasks, {found}")
    assert found == Verdict(0, 0, 0)


async def test_a_receiver_that_is_away_is_told_when_it_is_back(lab: Lab, secrets: Path) -> None:
    async with receiving() as receiver:
        await owe(lab, receiver, 60)
        await finish(lab, 60)
    with sender(lab, receiver, secrets):
        assert await lab.until("select min(tries) as n from task_callback", 1)
        assert receiver.received == []
        async with receiving(receiver):
            assert await lab.until(DELIVERED, 60)
    assert await verdict(lab, receiver) == Verdict(0, 0, 0)


async def test_a_restart_of_postgresql_loses_no_callback(server: Postgres, secrets: Path) -> None:
    server.provision({"lab": "lab"})
    async with lab_on(server.dsn("lab", "lab", "lab")) as lab, receiving() as receiver:
        await owe(lab, receiver, 60)
        await finish(lab, 60)
        receiver.delay = 0.2
        with sender(lab, receiver, secrets):
            while len(receiver.received) < 10:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            assert await lab.until(DELIVERED, 60)
        found = await verdict(lab, receiver)
    print(f"\nrestart of PostgreSQL: 60 finished tasks, {found}")
    assert found[:2] == (0, 0)
