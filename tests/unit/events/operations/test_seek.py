"""Moving positions while consumers run: done again exactly once more in a new epoch, or skipped where it was done."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from opsplane.errors import Conflict, InvalidInput, NotFound
from opsplane.events import ConsumerGroup, Entry, consumer, encode, new_event, seeking
from opsplane.events.actions import FORGET, RESET, SEEK, ForgetGroup, ResetGroup, SeekGroup
from opsplane.events.brokers.keys import epochs as epochs_key
from opsplane.events.epochs import EpochProjection, project
from opsplane.events.ordered import OrderedGroup

TOPIC, GROUP = "catalog.product.created", "search-service"


async def effects(world) -> dict[str, int]:
    rows = await world.pool.fetch("select event_id, count(*) from effect group by event_id")
    return {row["event_id"]: row["count"] for row in rows}


async def emit(world, count: int, first: int = 0) -> list[str]:
    events = [
        new_event(TOPIC, {"sku": f"p{one}", "price": 1}, source="catalog", id=f"e{one}")
        for one in range(first, first + count)
    ]
    return await world.broker.publish_many([Entry(TOPIC, encode(event)) for event in events])


async def deliver(world, group) -> int:
    """Let the group read and process what there is, once; how many entries that was."""
    reader = await world.broker.reader(group.group, group.consumer, group.topics)
    entries = await reader.read(500, 0.05)
    group._handling.epochs.take(reader.epochs)
    await group.process(entries)
    await reader.close()
    return len(entries)


async def seek(world, to, again=None):
    return await SEEK.apply(world.backbone, SeekGroup(group=GROUP, to=to, again=again))


async def test_again_means_exactly_once_more_while_consumers_run(world):
    async with world.running(world.group(), world.group()):
        ids = await emit(world, 300)
        await world.eventually(lambda: total(world, 300))
        [move] = await seek(world, ids[100], again=True)
        assert (move.again, move.left_out, move.epoch) == (200, 0, 1)
        await emit(world, 50, 300)
        await world.eventually(lambda: total(world, 550))
        [move] = await RESET.apply(world.backbone, ResetGroup(group=GROUP, again=True))
        assert (move.again, move.epoch) == (350, 2)
        await world.eventually(lambda: total(world, 900))
        await asyncio.sleep(0.7)  # a consumer's look, and what it reads
    counts = sorted((await effects(world)).values())
    assert counts == [2] * 150 + [3] * 200


async def test_skip_done_does_what_was_missed_and_nothing_twice(world):
    ids = await emit(world, 100)
    await world.broker.call("XGROUP", "CREATE", TOPIC, GROUP, ids[59])  # the first sixty were never given
    async with world.running(world.group()):
        await world.eventually(lambda: total(world, 40))
        [move] = await seek(world, "beginning", again=False)
        assert (move.again, move.epoch) == (100, None)
        await world.eventually(lambda: total(world, 100))
        await asyncio.sleep(0.7)
    assert set((await effects(world)).values()) == {1}


async def test_what_was_lately_seen_is_not_swallowed_in_a_new_epoch(world):
    """A group without an inbox: only the seen-set stands between it and a redo."""
    async with world.running(world.other_group()):
        await emit(world, 20)
        await world.eventually(lambda: noted(world, 20))
        wanted = SeekGroup(group="audit-service", to="beginning", again=True)
        await SEEK.apply(world.backbone, wanted)
        await world.eventually(lambda: noted(world, 40))
        await SEEK.apply(world.backbone, SeekGroup(group="audit-service", to="beginning", again=False))
        await emit(world, 1, 20)
        await world.eventually(lambda: noted(world, 41))
        await asyncio.sleep(0.7)
    assert len(world.bystander) == 41, "skipped: it was seen in this epoch"


async def test_the_epoch_is_the_same_for_what_lies_before_the_place_it_was_begun(world):
    ids = await emit(world, 10)
    group = world.group()
    reader = await world.broker.reader(GROUP, "gone", [TOPIC])
    await reader.read(3, 0.1)
    await reader.close()
    await deliver(world, group)
    async with world.pool.transaction() as tx:  # its effect is there, its acknowledgement is not
        await tx.execute(
            "insert into inbox (consumer_group, epoch, source, event_id) values (%s, 0, 'catalog', 'e0')",
            [GROUP],
        )
    await seek(world, ids[5], again=True)
    async with world.running(group):
        await world.eventually(lambda: total(world, 14))
        await asyncio.sleep(1.5)
    counts = await effects(world)
    assert "e0" not in counts, "it was not sought, so its effect of epoch 0 counts"
    assert sorted(counts.values()) == [1] * 4 + [2] * 5


async def test_without_an_answer_nothing_is_moved(world):
    await emit(world, 5)
    await deliver(world, world.group())
    with pytest.raises(seeking.Unanswered, match="5 events again"):
        await seek(world, "beginning")
    assert (await seek(world, "end"))[0].again == 0
    assert await deliver(world, world.group()) == 0


async def test_the_preview_counts_and_changes_nothing(world):
    ids = await emit(world, 20)
    await world.broker.call("XGROUP", "CREATE", TOPIC, GROUP, ids[9])
    at = datetime.fromtimestamp(int(ids[0].partition("-")[0]) / 1000, UTC).isoformat()
    for to, again, left_out in (("beginning", 10, 0), ("end", 0, 10), (ids[5], 5, 0), (at, 10, 0)):
        preview = await SEEK.preview(world.backbone, SeekGroup(group=GROUP, to=to))
        assert [(one["again"], one["left_out"]) for one in preview.sample] == [(again, left_out)], to
    assert await deliver(world, world.group()) == 10


async def test_unknown_groups_topics_and_places_are_named(world):
    await emit(world, 1)
    await deliver(world, world.group())
    for wanted, error, told in (
        (SeekGroup(group="nobody", to="end"), NotFound, "nobody"),
        (SeekGroup(group=GROUP, topics=("a.b.c",), to="end"), NotFound, r"a\.b\.c"),
        (SeekGroup(group=GROUP, to="yesterday"), InvalidInput, "yesterday"),
        (SeekGroup(group=GROUP, to="2026-05-01T12:00:00"), InvalidInput, "zone"),
    ):
        with pytest.raises(error, match=told):
            await SEEK.apply(world.backbone, wanted)


async def test_epochs_outlive_the_brokers_memory(world):
    await emit(world, 3)
    await deliver(world, world.group())
    await seek(world, "beginning", again=True)
    before = await world.store.hgetall(epochs_key(GROUP))
    await world.store.flushall()
    async with world.running(EpochProjection(world.pool, world.broker)):
        await world.eventually(lambda: there(world))
    assert await world.store.hgetall(epochs_key(GROUP)) == before
    await project(world.pool, world.broker)


async def test_a_living_group_is_not_forgotten_a_dead_one_is(world):
    await emit(world, 3)
    async with world.running(world.group()):
        await world.eventually(lambda: total(world, 3))
        with pytest.raises(Conflict, match="live"):
            await FORGET.apply(world.backbone, ForgetGroup(group=GROUP))
    assert await FORGET.apply(world.backbone, ForgetGroup(group=GROUP)) == [TOPIC]
    assert await world.store.xinfo_groups(TOPIC) == []


async def total(world, wanted: int) -> bool:
    return sum((await effects(world)).values()) >= wanted


async def test_a_batch_with_events_of_two_epochs_is_handled_apart(world):
    seen: list[tuple[int, int]] = []

    @consumer(TOPIC, group="batches", batch=100)
    async def handle(events, ctx) -> None:
        async with ctx.once() as (_, fresh):
            seen.append((ctx.epoch, len(fresh)))

    group = ConsumerGroup([handle], world.service, world.broker, world.schemas)
    ids = await emit(world, 10)
    await deliver(world, group)
    await SEEK.apply(world.backbone, SeekGroup(group="batches", to=ids[5], again=True))
    await world.broker.call("XGROUP", "SETID", TOPIC, "batches", "0")
    await world.broker.call("DEL", *[key async for key in world.store.scan_iter("opsplane:seen:*")])
    await deliver(world, group)
    assert seen == [(0, 10), (0, 0), (1, 5)], "in the old epoch all was done"


async def noted(world, wanted: int) -> bool:
    return len(world.bystander) >= wanted


async def there(world) -> bool:
    return bool(await world.store.exists(epochs_key(GROUP)))


async def test_an_ordered_group_does_events_again_in_their_order(world):
    @consumer(TOPIC, group="ordered-service", ordered="skip")
    async def handle(event, ctx) -> None:
        async with ctx.once() as tx:
            await tx.execute("insert into effect (event_id) values (%s)", [event.id])
        world.handled.append(event.id)

    async with world.running(OrderedGroup([handle], world.service, world.broker, world.schemas)):
        ids = await emit(world, 30)
        await world.eventually(lambda: total(world, 30))
        await SEEK.apply(world.backbone, SeekGroup(group="ordered-service", to=ids[10], again=True))
        await world.eventually(lambda: total(world, 50))
    assert world.handled == [f"e{one}" for one in (*range(30), *range(10, 30))]
