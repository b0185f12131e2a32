"""A parent whose worker is killed while it fans out: its children are created once, each has its effect once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import NamedTuple

import pytest
from tests.faults.fan_out_process import leaf, tree
from tests.faults.test_workers import ROOT, Lab, lab

from opsplane.resilience import Stop, run_duties
from opsplane.tasks import Joiner, NewTask, Producer, Status, TaskControl, TaskStore

__all__ = ["lab"]  # the fixture
CHILDREN = 200


class Family(NamedTuple):
    """What the history says of the children."""

    children: int
    effects: int
    attempts: int  # of the parent


async def spread(lab: Lab, moment: str, *options: str) -> Family:
    """Start workers until the parent is done: the first dies at `moment`."""
    types = [tree, leaf]
    made = await Producer(lab.pool, types, None, lab.doorbell).submit(
        NewTask(task_type="tree", params={"children": CHILDREN})
    )
    stop = Stop()
    joiner = Joiner(lab.pool, TaskControl(lab.pool, None, lab.doorbell), lab.doorbell)
    joining = asyncio.create_task(run_duties([joiner], stop))
    command = [sys.executable, "-m", "tests.faults.fan_out_process", lab.dsn, moment, *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        async with lab.rescuing(grace=0.0):
            assert await asyncio.to_thread(process.wait, 60) == -9
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
            assert await lab.until("select count(*) as n from task_history where task_type = 'tree'", 1)
    finally:
        process.kill()
        process.wait()
        stop.set()
        await joining
    done = await TaskStore(lab.pool).get(made.id)
    assert (done.status, done.result) == (Status.COMPLETED, {"total": CHILDREN, "completed": CHILDREN})
    return Family(
        int(await lab.number("select count(*) as n from any_task where task_type = 'leaf'")),
        int(await lab.number("select count(*) as n from effect")),
        done.attempt,
    )


@pytest.mark.parametrize(("moment", "attempts"), [("before", 3), ("after", 2)])
async def test_children_are_created_once_when_the_parent_dies(lab: Lab, moment: str, attempts: int) -> None:
    found = await spread(lab, moment)
    print(f"\nkill -9 {moment} the commit of a fan-out: {found}")
    assert found == Family(CHILDREN, CHILDREN, attempts)


async def test_planted_children_created_apart_are_seen_twice(lab: Lab) -> None:
    found = await spread(lab, "before", "--apart")
    print(f"\nplanted, children created apart: {found}")
    assert found.children == 2 * CHILDREN
