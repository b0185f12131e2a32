"""Events whose relay, consumers, broker or database die: none committed is lost, none has its effect twice.

Each experiment has a control without the fault and a planted defect that the same check must see. The short form runs
with the suite, `make faults` runs the long one; both print their figures.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.faults.event_lab import EFFECTS, PUBLISHED, WAITING, Lab, Order, Verdict, eventually, lab_on
from tests.faults.event_process import GROUP

from opsplane.embedded import Postgres, Valkey
from opsplane.embedded.postgres import PostgresFailed
from opsplane.events.rebuild import Unconfirmed


def sizes(short: tuple[int, ...], long: tuple[int, ...]) -> list[object]:
    return [short, pytest.param(*long, marks=[pytest.mark.long, pytest.mark.timeout(480)])]


@pytest.fixture
async def lab(database: str, broker_url: str, tmp_path: Path) -> AsyncIterator[Lab]:
    async with lab_on(database, broker_url, tmp_path / "notes") as found:
        yield found


async def unmarked(lab: Lab) -> int:
    """How many entries the stream has beyond the events marked as published: it only grows, with each sent twice."""
    return await lab.length() - await lab.number(PUBLISHED)


async def kill_relays(lab: Lab, times: int, *options: str) -> int:
    """How many of the kills left events sent and not marked; the others came before sending, or after marking."""
    amid = known = 0

    async def waiting() -> bool:
        return await lab.number(WAITING) > 0 or await lab.over()

    for kill in range(times):
        relay = lab.start("relay", *options)
        await grown(lab, lab.length)
        match kill % 3:
            case 0:
                await grown(lab, lab.length)
            case 1:
                await grown(lab, lambda: lab.number(PUBLISHED))
            case 2:
                await eventually(waiting)
        lab.kill(relay)
        await asyncio.sleep(0.05)  # PostgreSQL may still be at its last statement
        amid += (found := await unmarked(lab)) > known
        known = found
    return amid


async def grown(lab: Lab, number: Callable[[], Awaitable[int]]) -> None:
    """Return when `number` is higher than it was at the call, or no event is left to make it so."""
    before = await number()

    async def higher() -> bool:
        return await number() > before or await lab.over()

    await eventually(higher)


@pytest.mark.parametrize(("count", "times"), sizes((2_000, 3), (50_000, 30)))
async def test_relay_killed_again_and_again(lab: Lab, count: int, times: int) -> None:
    lab.start("consumer")
    writer = lab.write(count, size=count // 200, pace=times / 200)
    amid = await kill_relays(lab, times)
    lab.start("relay")
    assert await lab.finished(writer)
    verdict, order = await lab.verdict(), await lab.order()
    print(f"\nkill -9 of the relay: {times} times, {amid} amid publishing: {verdict}, {order}")
    assert verdict == Verdict(count, 0, 0, 0)
    assert order.disordered == 0
    assert 0 < amid <= order.copies  # the fault did hit what was sent and not marked


async def test_control_nothing_is_killed(lab: Lab) -> None:
    lab.start("consumer")
    lab.start("relay")
    assert await lab.finished(lab.write(2_000))
    assert await lab.verdict() == Verdict(2_000, 0, 0, 0)
    assert await lab.order() == Order(0, 0)


async def test_planted_a_relay_that_marks_first_is_seen_to_lose(lab: Lab) -> None:
    lab.start("consumer")
    writer = lab.write(2_000, size=10, pace=0.015)
    await kill_relays(lab, 3, "--marks-first")
    lab.start("relay")
    await lab.settled(writer)
    assert (await lab.verdict()).lost > 0


async def holding(lab: Lab, consumer: subprocess.Popen[bytes]) -> bool:
    return await lab.held(consumer) > 0 or await lab.over()


async def kill_consumers(lab: Lab, times: int, *options: str) -> int:
    """How many entries the killed consumers held; of two that run, one is killed and replaced each time.

    It happens amid handling, and just after an effect was committed in turn.
    """
    options = ("--slow", "0.001", *options)  # seconds for each event
    running = [lab.start("consumer", *options) for _ in range(2)]
    held = 0
    for kill in range(times):
        victim = running.pop(0)
        await eventually(lambda victim=victim: holding(lab, victim))
        await (grown(lab, lambda: lab.number(EFFECTS)) if kill % 2 else asyncio.sleep(0.005))
        lab.kill(victim)
        held += await lab.held(victim)
        running.append(lab.start("consumer", *options))
    return held


@pytest.mark.parametrize(("count", "times"), sizes((2_000, 3), (50_000, 30)))
async def test_consumers_killed_with_entries_in_flight(lab: Lab, count: int, times: int) -> None:
    lab.start("relay")
    writer = lab.write(count, size=count // 200, pace=times / 200)
    held = await kill_consumers(lab, times)
    assert await lab.finished(writer)
    verdict = await lab.verdict()
    print(f"\nkill -9 of a consumer: {times} times with {held} entries in flight: {verdict}")
    assert verdict == Verdict(count, 0, 0, 0)
    assert held > 0


async def test_planted_a_consumer_that_acknowledges_first_is_seen_to_lose(lab: Lab) -> None:
    lab.start("relay")
    writer = lab.write(2_000)
    await asyncio.to_thread(writer.wait)
    await eventually(lab.all_sent)
    victim = lab.start("consumer", "--slow", "0.01", "--acknowledges-first")
    assert await lab.until(EFFECTS, 100)
    await asyncio.sleep(0.3)  # amid the next batch, which takes a second
    lab.kill(victim)
    lab.start("consumer")
    await lab.settled(writer)
    assert (await lab.verdict()).lost > 0


async def kill_brokers(lab: Lab, engine: Valkey, count: int, times: int, *, cut: int = 0) -> None:
    """Kill the broker again and again on its way through the events, cutting `cut` bytes off its log each time."""
    for kill in range(times):
        least = count * (kill + 1) // (times + 1)
        await eventually(lambda least=least: reached(lab.length, least), seconds=120.0)
        assert engine.child is not None
        await asyncio.to_thread(engine.child.kill)
        if cut:
            log = max((engine.data / "appendonlydir").glob("*.incr.aof"))
            os.truncate(log, max(0, log.stat().st_size - cut))
        await asyncio.to_thread(engine.start)


async def reached(number: Callable[[], Awaitable[int]], least: int) -> bool:
    return await number() >= least


@pytest.mark.parametrize(("count", "times"), sizes((3_000, 2), (500_000, 50)))
async def test_broker_killed_again_and_again(
    database: str, engine: Valkey, tmp_path: Path, count: int, times: int
) -> None:
    async with lab_on(database, engine.url("admin"), tmp_path / "notes") as lab:
        for role in ("relay", "consumer", "events"):
            lab.start(role)
        writer = lab.write(count, size=count // 200)
        await kill_brokers(lab, engine, count, times)
        assert await lab.finished(writer)
        verdict, order = await lab.verdict(), await lab.order()
    print(f"\nkill -9 of the broker: {times} times: {verdict}, {order}, {lab.taken_back()} sent again")
    assert verdict == Verdict(count, 0, 0, 0)
    assert order.disordered == 0


async def _cut(lab: Lab, engine: Valkey, *options: str) -> None:
    """The broker loses the end of its log, unread, twice; then all is read."""
    lab.start("relay", *options)
    writer = lab.write(3_000, pace=0.005)
    await kill_brokers(lab, engine, 3_000, 2, cut=100_000)
    lab.start("consumer")
    await lab.settled(writer)


async def test_what_a_power_cut_costs_the_broker_is_sent_again(
    database: str, engine: Valkey, tmp_path: Path
) -> None:
    async with lab_on(database, engine.url("admin"), tmp_path / "notes") as lab:
        await _cut(lab, engine)
        verdict, order = await lab.verdict(), await lab.order()
    print(f"\nend of the broker's log lost: twice: {verdict}, {order}, {lab.taken_back()} sent again")
    assert verdict == Verdict(3_000, 0, 0, 0)
    assert order.disordered == 0
    assert lab.taken_back() > 0  # the fault did cost entries


async def test_planted_a_relay_that_never_looks_back_is_seen_to_lose(
    database: str, engine: Valkey, tmp_path: Path
) -> None:
    async with lab_on(database, engine.url("admin"), tmp_path / "notes") as lab:
        await _cut(lab, engine, "--never-looks-back")
        assert (await lab.verdict()).lost > 0


async def flush(lab: Lab, count: int, times: int) -> int:
    """How many events rebuilds put back, of a broker emptied again and again while it is written and read."""
    refilled = 0
    for nth in range(times):
        least = count * (nth + 1) // (times + 2)
        await eventually(lambda least=least: reached(lambda: lab.number(EFFECTS), least), seconds=120.0)
        await eventually(lab.noted)
        await lab.store.flushall()
        await eventually(lab.wiped)
        refilled += sum((await lab.rebuild()).refilled.values())
    return refilled


@pytest.mark.parametrize(("count", "times"), sizes((2_000, 1), (50_000, 10)))
async def test_broker_emptied_under_load_and_rebuilt(lab: Lab, count: int, times: int) -> None:
    lab.start("relay")
    lab.start("events")
    lab.start("consumer", "--slow", "0.0005")
    writer = lab.write(count, size=count // 200, pace=times / 200)
    refilled = await flush(lab, count, times)
    assert await lab.finished(writer)
    verdict = await lab.verdict()
    print(f"\nFLUSHALL and rebuild: {times} times, {refilled} put back: {verdict}")
    assert verdict == Verdict(count, 0, 0, 0)
    assert refilled > 0
    assert (await lab.rebuild()).refilled == {}


async def test_planted_without_a_rebuild_the_loss_is_seen(lab: Lab) -> None:
    lab.start("relay")
    lab.start("events")
    lab.start("consumer", "--slow", "0.001")
    writer = lab.write(2_000)
    await eventually(lambda: reached(lambda: lab.number(EFFECTS), 300))
    await lab.store.flushall()
    await lab.settled(writer)
    assert (await lab.verdict()).lost > 0


async def test_planted_a_consumer_without_inbox_needs_a_yes_and_is_seen_to_double(lab: Lab) -> None:
    lab.start("relay")
    lab.start("events")
    lab.start("consumer", "--slow", "0.001", "--no-inbox")
    writer = lab.write(2_000)
    await eventually(lambda: reached(lambda: lab.number(EFFECTS), 1_000))
    await eventually(lab.noted)
    await lab.store.flushall()
    await eventually(lab.wiped)
    with pytest.raises(Unconfirmed, match=f"{GROUP} "):
        await lab.rebuild()
    await lab.rebuild(yes=True)
    assert await lab.finished(writer)
    verdict = await lab.verdict()
    assert verdict.lost == 0
    assert verdict.doubled > 0


def end(server: Postgres, how: str) -> None:
    """End PostgreSQL: in the way `stop` does, `immediate`ly, or by `kill -9` of its postmaster."""
    child = server.child
    assert child is not None
    if how == "stop":
        server.stop()
    else:
        child.signal(signal.SIGQUIT if how == "immediate" else signal.SIGKILL)
        child.stop()


async def restart(server: Postgres, how: str) -> None:
    """End PostgreSQL and start it again; what a killed postmaster leaves behind may take its time to go."""
    await asyncio.to_thread(end, server, how)
    for _ in range(20):
        try:
            await asyncio.to_thread(server.start)
        except PostgresFailed:
            await asyncio.sleep(0.5)
        else:
            return


async def restart_postgres(lab: Lab, server: Postgres, count: int, ways: tuple[str, ...]) -> list[float]:
    """The seconds from each restart until the next effect."""
    resumed = []
    for kill, how in enumerate(ways):
        least = count * (kill + 1) // (len(ways) + 2)
        await lab.until(EFFECTS, least)
        await restart(server, how)
        back = time.monotonic()
        await lab.until(EFFECTS, 0)
        await lab.until(EFFECTS, await lab.number(EFFECTS) + 1)
        resumed.append(round(time.monotonic() - back, 2))
    return resumed


TEN_WAYS = ("stop", "kill", "stop", "immediate", *["stop"] * 6)


@pytest.mark.parametrize(
    ("count", "ways"),
    [
        (3_000, ("stop",)),
        pytest.param(30_000, TEN_WAYS, marks=[pytest.mark.long, pytest.mark.timeout(480)]),
    ],
)
async def test_postgresql_restarted_under_load(
    server: Postgres, broker_url: str, tmp_path: Path, count: int, ways: tuple[str, ...]
) -> None:
    server.provision({"shop": "shop"})
    async with lab_on(server.dsn("shop", "shop", "shop"), broker_url, tmp_path / "notes") as lab:
        for role in ("relay", "consumer", "events"):
            lab.start(role)
        writer = lab.write(count, pace=0.005)
        resumed = await restart_postgres(lab, server, count, ways)
        assert await lab.finished(writer)
        verdict, order = await lab.verdict(), await lab.order()
    print(f"\nPostgreSQL restarted: {len(ways)} times: {verdict}, {order}, resumed after {resumed} s")
    assert verdict.acknowledged > count / 2
    assert (verdict.lost, verdict.doubled, verdict.buried, order.disordered) == (0, 0, 0, 0)


@pytest.mark.parametrize("settings", [{"wal_writer_delay": "10s"}])
async def test_planted_a_database_that_does_not_sync_is_seen_to_lose(
    server: Postgres, broker_url: str, tmp_path: Path
) -> None:
    server.provision({"shop": "shop"})
    async with lab_on(server.dsn("shop", "shop", "shop"), broker_url, tmp_path / "notes") as lab:
        await lab.pool.execute("alter role shop set synchronous_commit = off")
        for role in ("relay", "consumer", "events"):
            lab.start(role)
        writer = lab.write(2_000, pace=0.005)
        await lab.until(EFFECTS, 500)
        await restart(server, "immediate")
        await lab.settled(writer)
        assert (await lab.verdict()).lost > 0
