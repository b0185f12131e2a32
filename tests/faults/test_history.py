"""Everything at once, and the whole history judged: every change of state, every effect, every event.

The short form runs with the suite, `make faults` runs the long one. The control is the same without harm; the planted
defect is a completion that does not look at the claim token, and the same check must see it.
"""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest
from tests.faults.history import Figures, Findings
from tests.faults.history_lab import FAKETIME, Lab, lab_on

from opsplane.embedded import Postgres, Valkey
from opsplane.tasks import NewTask

MIX = {
    "effect": 400, "plain": 150, "told": 150, "thread": 50, "flaky": 60, "sleepy": 60, "bad": 40, "stairs": 60, "tree": 2,
}  # fmt: skip
SLOW = NewTask(task_type="effect", params={"seconds": 5.0})
KINDS = ["kill", "stop", "restart", "outage", *(["jump"] if FAKETIME else [])]


def some(lab: Lab, count: int) -> list[NewTask]:
    """`count` tasks of all kinds, as chance has it; one in a hundred takes five seconds."""
    names = lab.chance.choices(list(MIX), list(MIX.values()), k=count)
    return [SLOW if lab.chance.random() < 0.01 else NewTask(task_type=name) for name in names]


async def feed(lab: Lab, count: int, seconds: float) -> None:
    """Create `count` tasks in the course of `seconds`, one in five hundred with a process of its own."""
    began, parts = time.monotonic(), 100
    for part in range(parts):
        news = some(lab, count // parts)
        if part % (50_000 // count or 1) == 0 or count >= 50_000:
            news[0] = NewTask(task_type="process")
        await lab.create(news)
        await asyncio.sleep(max(0.0, began + seconds * (part + 1) / parts - time.monotonic()))


async def harm(lab: Lab, seconds: float, pause: float) -> None:
    """Do harm of every kind in turn, in an order of chance, for `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for kind in lab.chance.sample(KINDS, len(KINDS)):
            await asyncio.sleep(lab.chance.uniform(0.5, 1.5) * pause)
            await lab.harmed(kind)


async def settle(lab: Lab, seconds: float = 90.0) -> None:
    """Return when every task has an end and every event is published, or `seconds` passed without one more."""
    left, deadline = await lab.left(), time.monotonic() + seconds
    while (left or await lab.retry_given_up()) and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        before, left = left, await lab.left()
        if left < before:
            deadline = time.monotonic() + seconds


async def run(lab: Lab, count: int, seconds: float, pause: float) -> tuple[Findings, Figures]:
    """What the history says of `count` tasks amid harm."""
    await asyncio.gather(feed(lab, count, seconds), harm(lab, seconds, pause))
    for hand in lab.hands:
        hand.set("+0")
    await settle(lab)
    return await lab.findings()


@pytest.mark.parametrize(
    ("count", "seconds", "pause"),
    [
        (700, 7.0, 0.5),
        pytest.param(50_000, 600.0, 4.0, marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
async def test_the_history_of_everything_at_once_is_well(
    server: Postgres, engine: Valkey, tmp_path: Path, count: int, seconds: float, pause: float
) -> None:
    began = time.monotonic()
    async with lab_on(server, engine, tmp_path, seed=count) as lab:
        findings, figures = await run(lab, count, seconds, pause)
    took = time.monotonic() - began
    clocks = "" if FAKETIME else "; libfaketime is not installed: no clock jumped"
    print(f"\neverything at once, {took:.0f} s: {dict(lab.harm)}{clocks}: {findings}, {figures}")
    assert findings == Findings()
    assert figures.completed + figures.failed >= len(lab.created) > count / 2
    assert figures.claims > figures.tasks  # the harm did hit running tasks


@pytest.mark.long
async def test_control_without_harm_the_history_is_well_and_nothing_is_refused(
    server: Postgres, engine: Valkey, tmp_path: Path
) -> None:
    async with lab_on(server, engine, tmp_path, workers=2) as lab:
        await feed(lab, 500, 1.0)
        await settle(lab)
        findings, figures = await lab.findings()
    print(f"\neverything at once, without harm: {findings}, {figures}")
    assert findings == Findings()
    assert figures.refused == 0


async def stopped_for_long(
    server: Postgres, engine: Valkey, place: Path, *options: str
) -> tuple[Findings, Figures]:
    """What the history says when a worker is stopped amid long tasks, given up, and comes back."""
    async with lab_on(server, engine, place, *options, workers=2) as lab:
        await lab.create([SLOW] * 40)
        while len(await lab.rows("select from task where status = 1")) < 40:
            await asyncio.sleep(0.05)
        stopped = lab.hands[0].process
        stopped.send_signal(signal.SIGSTOP)
        while len(await lab.rows("select from task where status = 1 and attempt > 1")) < 20:
            await asyncio.sleep(0.05)
        stopped.send_signal(signal.SIGCONT)  # its tasks are another's at this moment
        await settle(lab)
        return await lab.findings()


async def test_the_writes_of_a_worker_that_was_given_up_are_refused(
    server: Postgres, engine: Valkey, tmp_path: Path
) -> None:
    findings, figures = await stopped_for_long(server, engine, tmp_path, "--blind")
    print(f"\na worker of twenty tasks given up: {findings}, {figures}")
    assert findings == Findings()
    assert figures.refused > 0


async def test_planted_without_the_fence_the_check_of_the_history_sees_it(
    server: Postgres, engine: Valkey, tmp_path: Path
) -> None:
    findings, figures = await stopped_for_long(server, engine, tmp_path, "--unfenced")
    print(f"\nplanted, without the fence: {findings}, {figures}")
    assert findings.stale > 0
