"""Parked subjects and what operators do about them: replay, give up, look, and come back from a lost broker."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest

from opsplane.events import (
    Consumer,
    Context,
    Entry,
    Event,
    Reject,
    consumer,
    consumer_group,
    encode,
    new_event,
)
from opsplane.events.actions import DISCARD, RETRY, DiscardLetters, RetryLetters
from opsplane.events.brokers import keys
from opsplane.events.deadletters import Selection, page
from opsplane.events.inspect import list_groups
from opsplane.events.ordered import ParkedKeeper, parked_subjects
from opsplane.events.personal import Personal
from opsplane.events.rebuild import rebuild
from opsplane.events.story import Witnesses, tell
from opsplane.resilience import Retry

TOPIC, GROUP = "catalog.product.created", "search-service"
PRIVATE = keys.retry_stream(GROUP)


class Index:
    """An ordered consumer that refuses what it is told to, and remembers the rest."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.done: list[str] = []

    def consumer(self) -> Consumer:
        @consumer(TOPIC, group=GROUP, ordered="park", retry=Retry(0), concurrency=2)
        async def index(event: Event, ctx: Context) -> None:
            if event.id in self.refused:
                raise Reject("not this one")
            async with ctx.once() as tx:
                await tx.execute("insert into effect (event_id) values (%s)", [event.id])
            self.done.append(event.id)

        return index

    def group(self, world):
        return consumer_group([self.consumer()], world.service, world.broker, world.schemas)


@pytest.fixture
def index():
    return Index()


def numbered(first, count, subject="p"):
    return [
        new_event(TOPIC, {"sku": "a", "price": 1}, source="catalog", subject=subject, id=f"{subject}{number}")
        for number in range(first, first + count)
    ]


async def emit(world, *events):
    await world.broker.publish_many([Entry(TOPIC, encode(event)) for event in events])


def duties(world, index):
    return [index.group(world), ParkedKeeper(world.pool, world.broker, [GROUP]), *world.duties()]


async def parked(world, wanted):
    found = await parked_subjects(world.broker, GROUP, world.pool)
    return [(one.subject, one.waits_for, one.events) for one in found] == wanted


async def letter(world) -> int:
    async def one():
        rows, _ = await page(world.pool, Selection(group=GROUP))
        return rows and rows[0]["state"] == "waiting" and rows[0]["id"]

    return await world.eventually(one)


async def test_a_replay_that_succeeds_releases_the_subject_in_order(world, index):
    index.refused = {"p0"}
    async with world.running(*duties(world, index)):
        await emit(world, *numbered(0, 5), *numbered(0, 3, "q"))
        await world.eventually(lambda: parked(world, [("p", "dead letter", 4)]))
        await world.eventually(lambda: handled(index, ["q0", "q1", "q2"]))
        number = await letter(world)
        [one] = await parked_subjects(world.broker, GROUP, world.pool)
        assert (one.dead_letter, one.event_id, one.source, one.topic) == (number, "p0", "catalog", TOPIC)
        await RETRY.apply(world.backbone, RetryLetters(selection=Selection(ids=(number,))))
        await world.eventually(lambda: failures(world, number, 2))
        assert await parked(world, [("p", "dead letter", 4)]), "it failed again: they wait on"
        index.refused = set()
        number = await letter(world)
        await RETRY.apply(world.backbone, RetryLetters(selection=Selection(ids=(number,))))
        await world.eventually(lambda: parked(world, []))
    assert [one for one in index.done if one.startswith("p")] == [f"p{number}" for number in range(5)]


async def test_a_dead_letter_that_is_given_up_releases_the_subject_without_it(world, index):
    index.refused = {"p0"}
    async with world.running(*duties(world, index)):
        await emit(world, *numbered(0, 5))
        await world.eventually(lambda: parked(world, [("p", "dead letter", 4)]))
        number = await letter(world)
        await DISCARD.apply(
            world.backbone, DiscardLetters(selection=Selection(ids=(number,)), because="cancelled")
        )
        await world.eventually(lambda: parked(world, []))
    assert index.done == ["p1", "p2", "p3", "p4"]
    assert await world.store.xlen(PRIVATE) == 0


async def test_giving_up_is_told_again_when_the_news_was_lost_and_not_for_another_failure(world, index):
    index.refused = {"p0"}
    keeper = ParkedKeeper(world.pool, world.broker, [GROUP])
    async with world.running(index.group(world), *world.duties()):
        await emit(world, *numbered(0, 2))
        await world.eventually(lambda: parked(world, [("p", "dead letter", 1)]))
        number = await letter(world)
        assert await keeper.step() == 0
    await DISCARD.apply(
        world.backbone, DiscardLetters(selection=Selection(ids=(number,)), because="cancelled")
    )
    assert (await keeper.step(), await keeper.step()) == (1, 0)
    await world.store.delete(PRIVATE)  # the broker came back without its last second
    again = ParkedKeeper(world.pool, world.broker, [GROUP])
    assert await again.step() == 1
    async with world.running(index.group(world)):
        await world.eventually(lambda: handled(index, ["p1"]))
        await emit(world, *numbered(0, 1), *numbered(2, 1))
        await world.eventually(lambda: parked(world, [("p", "dead letter", 1)]))
        await asyncio.sleep(0.1)
        assert await ParkedKeeper(world.pool, world.broker, [GROUP]).step() == 0, "that one is not given up"
    assert index.done == ["p1"]


async def test_news_about_an_event_nobody_waits_for_is_taken_and_forgotten(world, index):
    async with world.running(index.group(world)):
        await world.store.xadd(PRIVATE, {"data": b"{}", "metadata": json.dumps({"givenUp": "catalog x"})})
        await emit(world, *numbered(0, 1))
        await world.eventually(lambda: handled(index, ["p0"]))
        await world.eventually(lambda: empty(world))
    assert await world.store.exists(f"{TOPIC}.dlq") == 0


async def test_operators_see_who_leads_and_how_much_is_parked(world, index):
    index.refused = {"p0", "q0"}
    async with world.running(*duties(world, index)):
        await emit(world, *numbered(0, 3), *numbered(0, 2, "q"))
        await world.eventually(lambda: total(world, (2, 3)))
        [group] = await list_groups(world.broker, world.pool)
        assert (group.alive, group.pending) == (1, 0)
        assert group.leader
        story = await tell(
            Witnesses(world.broker, {"catalog": world.pool}, world.pool), "p1", Personal(world.schemas)
        )
        assert [state.state for state in story.groups] == ["parked"]


async def test_after_a_lost_broker_a_parked_subject_begins_again_with_what_held_it_up(world, index):
    index.refused = {"p3"}
    events = numbered(0, 6)
    async with world.running(world.relay(), *duties(world, index)):
        async with world.pool.transaction() as tx:
            await world.outbox.publish(tx, *events)
        await world.eventually(lambda: parked(world, [("p", "dead letter", 2)]))
        await letter(world)
        await world.eventually(lambda: checkpointed(world, pending=2))
        await world.store.flushall()
        await world.eventually(lambda: lost(world))
        await rebuild(world.backbone)
        await world.eventually(lambda: parked(world, [("p", "dead letter", 2)]))
        assert index.done == ["p0", "p1", "p2"]
        index.refused = set()
        number = await letter(world)
        await world.eventually(lambda: failures(world, number, 2))
        await RETRY.apply(world.backbone, RetryLetters(selection=Selection(ids=(number,))))
        await world.eventually(lambda: parked(world, []))
        await world.eventually(lambda: handled(index, [event.id for event in events]))
    rows = await world.pool.fetch("select event_id from effect")
    assert sorted(row["event_id"] for row in rows) == [event.id for event in events]


async def handled(index, wanted):
    return index.done == wanted


async def checkpointed(world, *, pending):
    """The events role has noted the position now, which it does when it has found the stream."""
    rows = await world.pool.fetch("select * from group_checkpoint where pending = %s", [pending])
    return len(rows) == 1


async def failures(world, number, count):
    row = await world.pool.fetch_one("select state, failures from dead_letter where id = %s", [number])
    return row["failures"] == count and row["state"] == "waiting"


async def empty(world):
    return await world.store.xlen(PRIVATE) == 0


async def total(world, wanted):
    groups = await list_groups(world.broker, world.pool)
    return [(one.parked, one.aside) for one in groups] == [wanted]


async def lost(world):
    row = await world.pool.fetch_one(
        "select count(*) as n from broker_incarnation where lost_at is not null and lost_at <= %s",
        [datetime.now(UTC)],
    )
    return row["n"] > 0
