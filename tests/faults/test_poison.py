"""Poison: one event ends every process that handles it. It alone becomes a dead letter; everybody else's is done.

With a control without poison and a planted defect, a takeover that runs all of a dead consumer's entries together.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.faults.event_lab import BURIED, EFFECTS, ROOT, Lab, eventually, lab_on

SHORT, LONG = (500, 1.0), (10_000, 5.0)  # events, and seconds of a lease: 5 is the platform's


@pytest.fixture
async def lab(database: str, broker_url: str, tmp_path: Path) -> AsyncIterator[Lab]:
    async with lab_on(database, broker_url, tmp_path / "notes") as found:
        yield found


class Supervised:
    """A consumer's process that is started again whenever it ends; how often it did, and when first."""

    def __init__(self, lab: Lab, *options: object) -> None:
        command = [sys.executable, "-m", "tests.faults.poison_process", lab.dsn, lab.url]
        self._command = [*command, *map(str, options)]
        self._log = lab.notes.with_name("poisoned.log")
        self.ends: list[float] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Supervised]:
        task = asyncio.create_task(self._keep())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            with self._log.open("ab") as output:
                process = subprocess.Popen(self._command, cwd=ROOT, stdout=output, stderr=output)
            try:
                while process.poll() is None:
                    await asyncio.sleep(0.01)
            finally:
                process.kill()
                process.wait()
            assert process.returncode == -signal.SIGKILL, self._log.read_text()[-2000:]
            self.ends.append(time.monotonic())


class Outcome(NamedTuple):
    """What became of the events: effects missing and doubled, the poisonous one's included; who was buried and why."""

    missing: set[str]
    doubled: int
    buried: list[tuple[str, str]]


async def outcome(lab: Lab) -> Outcome:
    rows = await lab.pool.fetch("select event_id, count(*) as n from effect group by 1")
    letters = await lab.pool.fetch("select event_id, reason from dead_letter order by 1")
    return Outcome(
        lab.acknowledged() - {row["event_id"] for row in rows},
        sum(row["n"] > 1 for row in rows),
        [(row["event_id"], row["reason"]) for row in letters],
    )


async def publish(lab: Lab, count: int) -> None:
    relay, writer = lab.start("relay"), lab.write(count, size=100)
    await asyncio.to_thread(writer.wait)
    assert writer.returncode == 0
    await eventually(lambda: _is(lab.length(), count))
    lab.kill(relay)


async def _is(number, wanted: int) -> bool:
    return await number == wanted


@pytest.mark.parametrize("batch", [0, 100], ids=["one by one", "in batches"])
@pytest.mark.parametrize(
    ("count", "lease"), [SHORT, pytest.param(*LONG, marks=[pytest.mark.long, pytest.mark.timeout(300)])]
)
async def test_an_event_that_ends_its_process_takes_no_other_along(lab, count, lease, batch):
    poison = f"{count // 3:08}"
    await publish(lab, count)
    lab.start("events")
    started = time.monotonic()
    options = ("--poison", poison, "--batch", batch, "--lease", lease)
    async with Supervised(lab, *options).running() as supervised:
        assert await lab.until(EFFECTS, count - 1)
        done = time.monotonic() - started
        assert await lab.until(BURIED, 1)
        buried = time.monotonic() - supervised.ends[0]
        found = await outcome(lab)
    print(
        f"\npoison, 1 of {count} events, batches of {batch or 1}, lease {lease:g} s: {len(supervised.ends)} processes "
        f"ended; the others were done after {done:.1f} s, it was buried {buried:.1f} s after the first end; {found}"
    )
    assert found == Outcome({poison}, 0, [(poison, "poison")])
    assert len(supervised.ends) == 4, "it is read once and started three times more"


async def test_control_without_poison_no_process_ends_and_nothing_is_buried(lab):
    await publish(lab, 500)
    lab.start("events")
    async with Supervised(lab, "--poison", "none", "--lease", 1.0).running() as supervised:
        assert await lab.until(EFFECTS, 500)
        assert await outcome(lab) == Outcome(set(), 0, [])
    assert supervised.ends == []


async def test_planted_a_takeover_of_all_entries_at_once_is_seen_to_bury_bystanders(lab):
    await publish(lab, 500)
    lab.start("events")
    poison = f"{500 // 3:08}"
    async with Supervised(lab, "--poison", poison, "--lease", 1.0, "--at-once").running():
        assert await lab.until(BURIED, 2)
    found = await outcome(lab)
    bystanders = [event for event, _ in found.buried if event != poison]
    print(f"\nall at once: {len(bystanders)} bystanders buried")
    assert bystanders
