"""Dead letters by the thousand: their causes told apart, one cause replayed at a rate, through kills, a cancel and a repeat.

The events role and the service are processes of their own. The figures printed are the job's own counters; the short form
runs with the suite, `make faults` runs the long one (20,000 of one cause at 500 a second).
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.faults.dead_letter_process import GROUP, TOPIC

from opsplane.database import Pool, migrate
from opsplane.events import Broker, Entry, connect, deadletters, encode, new_event
from opsplane.events.actions import CANCEL, IMPORT, RETRY, CancelReplay, ImportLetters, RetryLetters
from opsplane.events.backbone import Backbone
from opsplane.events.brokers import keys
from opsplane.events.deadletters import OPEN, Replay, Selection

ROOT = Path(__file__).parents[2]
KINDS = {"broken": "internal", "refused": "rejected", "": "validation"}
SOURCES = {
    "events": "opsplane.events.migrations",
    "events-operations": "opsplane.events.operations_migrations",
}


class Size(NamedTuple):
    """How many dead letters the cause to be replayed has, the others each, and how many a second are replayed."""

    count: int
    others: int
    rate: float


LONG = pytest.param(
    Size(20_000, 1_000, 500.0), id="long", marks=[pytest.mark.long, pytest.mark.timeout(1800)]
)
TO_BE_TIMED = [pytest.param(Size(600, 60, 200.0), id="short"), LONG]
TO_BE_STOPPED = [pytest.param(Size(240, 20, 200.0), id="short"), LONG]


class Lab:
    """One database and broker with dead letters of three causes, and processes that do not outlive it."""

    def __init__(self, pool: Pool, url: str, broker: Broker, log: Path) -> None:
        self.pool, self.url, self.broker = pool, url, broker
        self.dsn = str.__str__(pool.dsn)
        self._log = log
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def backbone(self) -> Backbone:
        return Backbone(self.pool, self.broker, "alice")

    def start(self, *arguments: object) -> subprocess.Popen[bytes]:
        role, *options = map(str, arguments)
        command = [
            sys.executable,
            "-m",
            "tests.faults.dead_letter_process",
            role,
            self.dsn,
            self.url,
            *options,
        ]
        with self._log.open("ab") as output:
            process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
        self._processes.append(process)
        return process

    async def fill(self, size: Size) -> None:
        """Events that fail for three reasons, until each is a dead letter and the other group has seen it."""
        wanted = {"broken": size.count, "refused": size.others, "": size.others}
        kinds = [kind for kind, count in wanted.items() for _ in range(count)]
        events = [
            new_event(TOPIC, {"kind": kind} if kind else {}, source="shop", id=f"{number:06}")
            for number, kind in enumerate(kinds)
        ]
        await self.broker.publish_many(Entry(TOPIC, encode(event)) for event in events)
        await self.until("select count(*) as n from dead_letter where not untidy", len(events))
        await self.until("select count(*) as n from seen", len(events))

    async def mend(self) -> None:
        await self.pool.execute("insert into mended values (true)")

    async def cause(self, reason: str) -> Selection:
        found = await deadletters.groups(self.pool)
        return Selection(fingerprint=next(one["fingerprint"] for one in found if one["reason"] == reason))

    async def replay(self, selection: Selection, rate: float | None = None) -> Replay:
        return await RETRY.apply(self.backbone, RetryLetters(selection=selection, rate=rate))

    async def number(self, statement: str) -> int:
        row = await self.pool.fetch_one(statement.encode())  # type: ignore[arg-type]
        return int(row["n"]) if row else 0

    async def until(self, statement: str, least: int, *, seconds: float = 60.0) -> None:
        """Return when the statement's `n` is `least`; fails when it has not grown for some seconds."""
        best, deadline = -1, time.monotonic() + seconds
        while (found := await self.number(statement)) < least:
            if found > best:
                best, deadline = found, time.monotonic() + seconds
            assert time.monotonic() < deadline, f"{statement}: {found} of {least}"
            await asyncio.sleep(0.05)

    async def sent(self, replay: Replay, least: int) -> Replay:
        """The replay once so many of its events were sent."""
        async with asyncio.timeout(600):
            while (found := await deadletters.replay(self.pool, replay.id)).total - found.unsent < least:
                await asyncio.sleep(0.02)
        return found

    async def ended(self, replay: Replay) -> Replay:
        async with asyncio.timeout(900):
            while (found := await deadletters.replay(self.pool, replay.id)).state == "running":
                await asyncio.sleep(0.05)
        return found

    async def sends(self) -> int:
        """How many entries the group's private stream ever got."""
        facts = await self.broker.call("XINFO", "STREAM", keys.retry_stream(GROUP))
        return int(dict(zip(facts[::2], facts[1::2], strict=True))[b"entries-added"])

    async def forget_seen(self) -> None:
        """What was handled lately is forgotten, as after ten minutes: the inbox alone is left."""
        for age in (0, 1):
            await self.broker.call("DEL", keys.seen(GROUP, age))

    async def effects(self) -> tuple[int, int]:
        """How many events had their effect, and how many of these more than once."""
        twice = (
            "select count(*) as n from (select from effect group by event_id having count(*) > 1) as twice"
        )
        return await self.number("select count(distinct event_id) as n from effect"), await self.number(twice)

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@asynccontextmanager
async def lab_on(dsn: str, url: str, log: Path) -> AsyncIterator[Lab]:
    pool = await Pool.open(dsn, max_size=4, timeout=30.0)
    for source, package in SOURCES.items():
        await migrate(pool, source, package)
    for table in ("effect", "seen"):
        await pool.execute(f"create table {table} (event_id text not null)".encode())  # type: ignore[arg-type]
    await pool.execute("create table mended (since boolean)")
    broker = connect(url)
    lab = Lab(pool, url, broker, log)
    yield lab
    lab.close()
    await broker.close()
    await pool.close()


@pytest.fixture
async def lab(database: str, broker_url: str, tmp_path: Path) -> AsyncIterator[Lab]:
    async with lab_on(database, broker_url, tmp_path / "processes.log") as found:
        yield found


async def pace(lab: Lab, replay: Replay) -> list[tuple[float, int]]:
    """When how many were sent, by the job's own counters, from the first to the last."""
    points: list[tuple[float, int]] = []
    async with asyncio.timeout(900):
        while True:
            found = await deadletters.replay(lab.pool, replay.id)
            sent = found.total - found.unsent
            if sent and (not points or sent > points[-1][1]):
                points.append((time.monotonic(), sent))
            if sent == found.total:
                return points
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("size", TO_BE_TIMED)
async def test_three_causes_are_three_groups_and_one_is_replayed_at_its_rate(lab: Lab, size: Size) -> None:
    lab.start("events")
    lab.start("service")
    await lab.fill(size)
    groups = await deadletters.groups(lab.pool)
    assert {group["reason"]: group["count"] for group in groups} == {
        "internal": size.count,
        "rejected": size.others,
        "validation": size.others,
    }
    cause = await lab.cause("internal")
    preview = await RETRY.preview(lab.backbone, RetryLetters(selection=cause))
    assert (preview.count, len(preview.sample)) == (size.count, 5)
    lines = [line async for line in deadletters.export(lab.pool, cause, states=OPEN)]
    await lab.mend()

    replay = await lab.replay(cause, size.rate)
    points = await pace(lab, replay)
    (first, before), (last, sent) = points[0], points[-1]
    done = await lab.ended(replay)
    wanted, took = (sent - before) / size.rate, last - first
    print(
        f"\n{size.count} dead letters at {size.rate:g}/s: {took:.2f} s for {sent - before} events, wanted {wanted:.2f} s "
        f"({took / wanted - 1:+.2%}); {_unevenness(points, size.rate)}; {done.resolved} resolved, {done.failed} failed"
    )
    assert (done.resolved, done.failed, done.withdrawn) == (size.count, 0, 0)
    assert 0.5 < took / wanted < 1.5  # a wide band: the exact figure is printed
    assert await lab.effects() == (size.count, 0)

    await lab.until(
        "select count(*) as n from dead_letter where state = 'resolved' and not untidy", size.count
    )
    await lab.pool.execute("delete from dead_letter where state = 'resolved'")
    assert (
        await IMPORT.apply(lab.backbone, ImportLetters(lines=_each(lines), source="test"))
    ).imported == size.count
    await lab.forget_seen()
    again = await lab.ended(await lab.replay(cause))
    assert again.resolved == size.count
    assert await lab.effects() == (size.count, 0), "replayed twice it has one effect"
    total = size.count + 2 * size.others
    assert await lab.number("select count(*) as n from seen") == total, (
        "the other group has seen nothing again"
    )
    print(
        f"replayed again: {again.resolved} resolved, effects {await lab.effects()}, other group {total} of {total} once"
    )


def _unevenness(points: list[tuple[float, int]], rate: float) -> str:
    """How far the job was ahead of and behind a perfect pace."""
    start, before = points[0]
    ahead = [sent - before - (at - start) * rate for at, sent in points]
    return f"at most {max(ahead):.0f} events ahead and {-min(ahead):.0f} behind"


async def _each(lines: list[bytes]) -> AsyncIterator[bytes]:
    for line in lines:
        yield line


@pytest.mark.parametrize("size", TO_BE_STOPPED)
async def test_a_replay_whose_process_is_killed_goes_on(lab: Lab, size: Size) -> None:
    events = lab.start("events")
    lab.start("service")
    await lab.fill(size)
    await lab.mend()
    replay = await lab.replay(await lab.cause("internal"), size.rate / 5)  # slow enough to be met midway
    for part in (4, 2):
        await lab.sent(replay, size.count // part)
        events.kill()
        events.wait()
        at_kill = await deadletters.replay(lab.pool, replay.id)
        await asyncio.sleep(0.5)
        assert (await deadletters.replay(lab.pool, replay.id)).unsent == at_kill.unsent > 0
        print(f"\nkill -9 after {at_kill.total - at_kill.unsent} of {at_kill.total}")
        events = lab.start("events")
    done = await lab.ended(replay)
    print(f"{done.resolved} resolved, {done.failed} failed, {await lab.sends()} sent for {size.count}")
    assert (done.resolved, done.failed) == (size.count, 0)
    assert await lab.effects() == (size.count, 0)
    assert await lab.sends() == size.count


async def _killed_between_sending_and_noting(lab: Lab, *defects: str) -> tuple[int, int]:
    """How many of 100 events were sent once more than needed, and how many had their effect more than once."""
    first = lab.start("events", "--dies-after", 50, *defects)
    service = lab.start("service")
    await lab.fill(Size(100, 5, 0.0))
    await lab.mend()
    service.kill()  # so that all of it is there at once when it comes back
    service.wait()
    replay = await lab.replay(await lab.cause("internal"))
    await asyncio.to_thread(first.wait)
    lab.start("events", *defects)
    await lab.sent(replay, 100)
    lab.start("service")
    done = await lab.ended(replay)
    assert done.resolved == 100
    return await lab.sends() - 100, (await lab.effects())[1]


async def test_control_killed_between_sending_and_noting_nothing_is_sent_twice(lab: Lab) -> None:
    assert await _killed_between_sending_and_noting(lab) == (0, 0)


async def test_planted_a_replay_that_forgets_what_it_sent_is_seen(lab: Lab) -> None:
    sent, effects = await _killed_between_sending_and_noting(lab, "--forgets")
    print(f"\nforgetting: {sent} of 100 sent twice, {effects} with two effects: the inbox holds")
    assert sent > 0
    assert effects == 0


@pytest.mark.parametrize("size", TO_BE_STOPPED)
async def test_a_cancelled_replay_stops_and_the_rest_waits_again(lab: Lab, size: Size) -> None:
    lab.start("events")
    lab.start("service")
    await lab.fill(size)
    await lab.mend()
    cause = await lab.cause("internal")
    replay = await lab.replay(cause, size.rate)
    await lab.sent(replay, size.count // 3)
    cancelled = await CANCEL.apply(lab.backbone, CancelReplay(replay=replay.id))
    assert (cancelled.state, cancelled.unsent) == ("cancelled", 0)
    await lab.until("select resolved + failed as n from replay", size.count - cancelled.withdrawn)
    await asyncio.sleep(0.5)
    stopped = await deadletters.replay(lab.pool, replay.id)
    rows, waiting = await deadletters.page(lab.pool, cause, states=("waiting",), limit=1)
    print(f"\ncancelled after {stopped.resolved} of {stopped.total}: {waiting} wait again")
    assert rows
    assert 0 < waiting == stopped.withdrawn == size.count - stopped.resolved
    assert await lab.effects() == (stopped.resolved, 0)
    rest = await lab.ended(await lab.replay(cause))
    assert rest.resolved == waiting
    assert await lab.effects() == (size.count, 0)


async def test_planted_without_the_inbox_a_second_replay_is_seen(lab: Lab) -> None:
    lab.start("events")
    lab.start("service", "--no-inbox")
    await lab.fill(Size(100, 5, 0.0))
    await lab.mend()
    cause = await lab.cause("internal")
    lines = [line async for line in deadletters.export(lab.pool, cause, states=OPEN)]
    await lab.ended(await lab.replay(cause))
    await lab.pool.execute("delete from dead_letter where state = 'resolved'")
    await IMPORT.apply(lab.backbone, ImportLetters(lines=_each(lines), source="test"))
    await lab.forget_seen()
    await lab.ended(await lab.replay(cause))
    assert (await lab.effects())[1] > 0
