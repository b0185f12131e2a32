"""Breakers in the operator's hand, and the dead letters that come back when one closes."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest

from opsplane.action import Actor, perform
from opsplane.clock import ManualClock
from opsplane.database import append_audit
from opsplane.errors import InvalidInput, NotFound, Unavailable
from opsplane.events import ConsumerGroup, Event, consumer
from opsplane.events.actions import CLOSE_BREAKER, OPEN_BREAKER, RESET_BREAKER, BreakerNames
from opsplane.events.breakers import holds
from opsplane.events.breakers.overview import list_breakers
from opsplane.events.breakers.recovery import BreakerRecovery
from opsplane.events.brokers import keys
from opsplane.resilience import BreakerPolicy, Retry

TOPIC, GROUP = "catalog.product.created", "search-service"
NAME = f"{GROUP}:index"
STAFF = Actor("sam", frozenset({"operations_staff"}))


class Index:
    """A dependency and its consumer."""

    def __init__(self, world, **options):
        self.world, self.away, self.done = world, False, []

        @consumer(TOPIC, group=GROUP, dependencies=("index",), **options)
        async def handle(event: Event, ctx) -> None:
            if self.away:
                raise Unavailable("The index is away.")
            self.done.append(event.data["sku"])

        self.group = ConsumerGroup(
            [handle], world.service, world.broker, world.schemas, breaker=BreakerPolicy(wait="200ms")
        )


def do(world, action, because="a test", *names):
    wanted = BreakerNames(names=names or (NAME,), because=because)
    audit = append_audit(world.pool)
    return perform(action, world.backbone, wanted, actor=STAFF, audit=audit, reason=because)


async def state(world):
    [found] = await list_breakers(world.broker, world.pool)
    return found


async def test_one_held_open_stays_so_until_it_is_closed(world):
    index = Index(world)
    async with world.running(index.group, *world.duties(), world.relay()):
        await world.eventually(lambda: list_breakers(world.broker, world.pool))
        await do(world, OPEN_BREAKER, "the index moves")
        found = await state(world)
        assert (found.state, found.held_by, found.reason) == ("open", world.backbone.actor, "the index moves")
        await asyncio.sleep(0.6)
        await world.publish(1, 2, 3)
        await asyncio.sleep(1.0)
        assert index.done == [], "nothing is probed"
        await world.store.delete(keys.HELD_OPEN)
        await holds.project(world.pool, world.broker)
        assert await world.store.hexists(keys.HELD_OPEN, NAME), "the order outlives the broker's memory"
        await do(world, CLOSE_BREAKER)
        await world.eventually(lambda: _true(len(index.done) == 3))
    assert (await state(world)).state == "closed"
    rows = await world.pool.fetch("select action, reason from audit order by id")
    assert [(row["action"], row["reason"]) for row in rows] == [
        ("breaker.open", "the index moves"),
        ("breaker.close", "a test"),
    ]


async def test_closing_keeps_how_long_the_next_opening_waits_and_a_reset_does_not(world):
    index = Index(world)
    condition = {"opened": True, "since": 1.0, "until": 2.0, "openings": 7, "probes": 0, "failure": "away"}
    await world.store.hset(keys.BREAKERS, NAME, json.dumps(condition))
    [closed] = await do(world, CLOSE_BREAKER)
    assert (closed.state, closed.openings, closed.failure) == ("closed", 7, "")
    [again] = await do(world, RESET_BREAKER)
    assert (again.state, again.openings) == ("closed", 0)
    assert index.done == []


async def test_what_does_not_exist_or_has_no_reason_is_refused(world):
    with pytest.raises(NotFound, match="no breaker"):
        await do(world, OPEN_BREAKER)
    await world.store.hset(keys.BREAKERS, NAME, "garbage")
    with pytest.raises(InvalidInput, match="reason"):
        await do(world, OPEN_BREAKER, " ")
    assert (await state(world)).state == "closed"


async def test_dead_letters_of_an_outage_come_back_when_the_breaker_closes_for_those_who_asked(world):
    index, clock = Index(world, recover=True, retry=Retry(0)), ManualClock(datetime.now(UTC))
    recovery = BreakerRecovery(world.pool, world.broker, clock)
    async with world.running(index.group, *world.duties(), world.relay()):
        await world.eventually(lambda: list_breakers(world.broker, world.pool))
        await world.force({"sku": "a", "price": 1})
        await world.eventually(lambda: _true(index.done == ["a"]))
        for reason in ("unavailable", "internal"):
            await _letter(world, reason)
        await world.eventually(lambda: _two(world))
        assert await recovery.step() == 0, "the breaker was never open"
        await do(world, CLOSE_BREAKER)
        assert await recovery.step() == 0, "the last dead letters may still be on their way"
        await clock.advance(10)
        assert await recovery.step() == 1
        await world.eventually(lambda: _true(index.done == ["a", "unavailable"]))
        assert await recovery.step() == 0, "once for each closing"
    assert [row["reason"] for row in await world.letters("waiting")] == ["internal"]
    [row] = await world.pool.fetch("select actor, reason from audit where action = 'dlq.retry'")
    assert (row["actor"], row["reason"]) == ("breaker-recovery", f"The breaker {NAME} has closed.")


async def test_nobody_is_recovered_who_did_not_ask(world):
    index = Index(world)
    await index.group._guard.breakers.look()
    assert not await world.store.exists(keys.RECOVERING)


async def _letter(world, reason):
    body = json.dumps(
        {
            "specversion": "1.0",
            "id": reason,
            "source": "test",
            "type": TOPIC,
            "data": {"sku": reason, "price": 1},
        }
    )
    beside = {
        "reason": reason, "message": "m", "error": "E", "fingerprint": "f" * 16, "group": GROUP,
        "consumer": "c", "sourceId": "1-1", "sourceTopic": TOPIC, "failedAt": datetime.now(UTC).isoformat(),
        "attempts": json.dumps([{"at": datetime.now(UTC).isoformat(), "error": "E", "durationMs": 1}]),
    }  # fmt: skip
    await world.store.xadd(f"{TOPIC}.dlq", {"data": body, "metadata": json.dumps(beside)})


async def _true(value):
    return value


async def _two(world):
    return len(await world.letters("waiting")) == 2
