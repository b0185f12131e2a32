from __future__ import annotations

import asyncio
import json

import pytest

from opsplane.events import actions
from opsplane.events.actions import GroupName, RebuildTopics
from opsplane.events.checkpoints import Checkpoints
from opsplane.events.incarnations import incarnation
from opsplane.events.pauses import project
from opsplane.events.rebuild import Unconfirmed, rebuild
from opsplane.resilience import Retry

TOPIC, GROUP = "catalog.product.created", "search-service"


def checkpoints(world) -> Checkpoints:
    return Checkpoints(world.pool, world.broker, world.keeper.ingest.step)


async def until_handled(world, ids):
    async def all_handled():
        return set(await world.effects()) >= set(ids)

    await world.eventually(all_handled, timeout=60)


async def test_events_nobody_had_read_come_back_in_their_order_and_with_their_numbers(world):
    async with world.running(world.relay()):
        ids = await world.publish(*range(300))
        await world.eventually(lambda: _length(world, 300))
    before = [fields for _, fields in await world.store.xrange(TOPIC)]
    await world.store.flushall()
    assert (await rebuild(world.backbone)).refilled == {TOPIC: 300}
    assert [fields for _, fields in await world.store.xrange(TOPIC)] == before
    assert (await rebuild(world.backbone)).refilled == {}
    async with world.running(*world.duties(), world.group()):
        await until_handled(world, ids)


async def test_another_entry_under_an_events_old_id_does_not_pass_for_it(world):
    async with world.running(world.relay()):
        ids = await world.publish(1, 2)
        await world.eventually(lambda: _length(world, 2))
    first = (await world.store.xrange(TOPIC))[0][0]
    await world.store.flushall()
    await world.store.xadd(TOPIC, {"data": b"{}"}, first)
    assert (await rebuild(world.backbone)).refilled == {TOPIC: 2}
    assert [json.loads(fields[b"data"]).get("id") for _, fields in await world.store.xrange(TOPIC)] == [
        None,
        *ids,
    ]


async def test_groups_without_an_inbox_are_listed_and_need_a_yes(world):
    async with world.running(world.relay(), world.group(), world.other_group()):
        ids = await world.publish(*range(40))
        await until_handled(world, ids)
        await world.eventually(lambda: _bystander(world, 40))
    async with world.running(world.relay(), world.other_group()):
        ids += await world.publish(*range(40, 50))
        await world.eventually(lambda: _bystander(world, 50))
    await checkpoints(world).step()
    await world.store.flushall()
    with pytest.raises(Unconfirmed, match=r"audit-service \(10 of"):
        await rebuild(world.backbone)
    assert await world.store.xlen(TOPIC) == 0
    planned = await actions.REBUILD.preview(world.backbone, RebuildTopics())
    assert (planned.count, planned.sample) == (10, [{"group": "audit-service", "topic": TOPIC, "again": 10}])
    await actions.REBUILD.apply(world.backbone, RebuildTopics(yes=True))
    async with world.running(world.group()):
        await until_handled(world, ids)
    assert len(await world.effects()) == 50


async def test_what_a_group_without_inbox_read_after_its_checkpoint_needs_a_yes_too(world):
    async with world.running(world.relay(), world.other_group()):
        await world.publish(1)
        await world.eventually(lambda: _bystander(world, 1))
        await checkpoints(world).step()
        await world.publish(2)
        await world.eventually(lambda: _bystander(world, 2))
    await world.store.flushall()
    with pytest.raises(Unconfirmed, match=r"audit-service \(1 of"):
        await rebuild(world.backbone)


async def test_an_event_that_waited_for_its_retry_is_not_behind_the_checkpoint(world):
    world.broken = ConnectionError("search index down")
    async with world.running(world.relay(), world.group(Retry(5, "5s"))):
        ids = await world.publish(1)

        async def scheduled():
            return await world.store.zcard(f"opsplane:retry:{GROUP}")

        await world.eventually(scheduled)
        await checkpoints(world).step()
    await world.store.flushall()
    world.broken = None
    assert (await rebuild(world.backbone)).refilled == {TOPIC: 1}
    async with world.running(world.group()):
        await until_handled(world, ids)


async def test_a_dead_letter_is_a_row_before_the_checkpoint_passes_it(world):
    await world.force({"price": "x"})
    async with world.running(world.group()):
        await world.eventually(lambda: _dead(world))
    await checkpoints(world).step()
    await world.store.flushall()
    assert len(await world.letters()) == 1


async def test_a_broker_that_lost_its_last_writes_is_noticed(world):
    async with world.running(world.relay(), world.group()):
        await until_handled(world, await world.publish(1, 2))
    await checkpoints(world).step()
    first = await incarnation(world.pool)
    await world.store.delete(TOPIC)
    await checkpoints(world).step()
    assert await incarnation(world.pool) != first


async def test_a_pause_holds_and_outlives_the_broker(world):
    await actions.PAUSE.apply(world.backbone, GroupName(group=GROUP, because="index is rebuilt"))
    async with world.running(world.relay(), world.group()):
        ids = await world.publish(1)
        await world.eventually(lambda: _length(world, 1))
        await asyncio.sleep(0.7)
        assert await world.effects() == []
        assert await actions.RESUME.apply(world.backbone, GroupName(group=GROUP)) == []
        await until_handled(world, ids)
    await actions.PAUSE.apply(world.backbone, GroupName(group=GROUP))
    await world.store.flushall()
    await project(world.pool, world.broker)
    assert await world.broker.paused() == {GROUP}


async def _wiped(world) -> bool:
    return len(await world.pool.fetch("select 1 from broker_incarnation where lost_at is not null")) > 0


async def _length(world, count: int) -> bool:
    return await world.store.xlen(TOPIC) == count


async def _bystander(world, count: int) -> bool:
    return len(world.bystander) == count


async def _dead(world) -> bool:
    return await world.store.xlen(f"{TOPIC}.dlq") == 1
