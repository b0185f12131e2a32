from __future__ import annotations

import asyncio
import json

import pytest

from opsplane.action import Actor, perform
from opsplane.database import append_audit
from opsplane.errors import InvalidInput, NotFound
from opsplane.events import actions, deadletters
from opsplane.events.actions import CancelReplay, DiscardLetters, RetryLetters
from opsplane.events.deadletters import Selection
from opsplane.events.direct import DirectPublisher
from opsplane.events.incarnations import look

TOPIC, GROUP = "catalog.product.created", "search-service"
ALL = Selection(everything=True)


async def test_an_invalid_event_is_refused_with_every_violation(world):
    with pytest.raises(InvalidInput) as refused:
        await DirectPublisher(world.broker, world.schemas).publish(TOPIC, {"price": "x"}, source="test")
    assert {one["pointer"] for one in refused.value.violations} == {"/sku", "/price"}
    assert await world.store.xlen(TOPIC) == 0


async def test_forced_invalid_event_is_a_dead_letter_until_its_replay_is_confirmed(world):
    async with world.running(*world.duties(), world.group(), world.other_group()):
        await world.force({"price": "x"})
        [letter] = await world.eventually(world.letters)
        assert (letter["reason"], letter["consumer_group"]) == ("validation", GROUP)
        shown = await deadletters.show(world.pool, letter["id"])
        assert {one["pointer"] for one in shown["violations"]} == {"/sku", "/price"}
        assert shown["event"]["data"] == {"price": "x"}
        await world.eventually(lambda: world.has(1))
        replay = await actions.RETRY.apply(world.backbone, RetryLetters(selection=ALL))
        await world.eventually(lambda: world.finished(replay.id))
        [again] = await world.letters()
        assert (again["state"], again["failures"], again["attempts"]) == ("waiting", 2, 2)
        assert again["id"] == letter["id"]
        await world.eventually(lambda: world.has(1))

        world.accept_everything()
        replay = await actions.RETRY.apply(world.backbone, RetryLetters(selection=ALL))
        await world.eventually(lambda: world.finished(replay.id))
        await world.eventually(lambda: world.has(0))
        assert await world.effects() == [letter["event_id"]]
        assert world.bystander == [letter["event_id"]]
        assert (await world.letters())[0]["state"] == "resolved"
        assert (await deadletters.stats(world.pool))[TOPIC]["count"] == 0


async def test_handler_failures_share_a_fingerprint_and_are_replayed_once_each(world):
    world.broken = RuntimeError("no index")
    async with world.running(*world.duties(), world.relay(), world.group()):
        ids = await world.publish(*range(30))

        async def all_dead():
            return len(await world.letters()) == 30

        await world.eventually(all_dead)
        [cause] = await deadletters.groups(world.pool)
        assert (cause["count"], cause["reason"], cause["last_hour"]) == (30, "internal", 30)
        assert (await deadletters.stats(world.pool))[TOPIC]["exceeded"]
        world.broken = None
        replay = await actions.RETRY.apply(
            world.backbone, RetryLetters(selection=Selection(topic="catalog.*"))
        )
        assert replay.total == 30
        done = await world.eventually(lambda: world.finished(replay.id))
        assert (done.resolved, done.failed) == (30, 0)
        await world.eventually(lambda: world.has(0))
    assert sorted(await world.effects()) == sorted(ids)
    assert sorted(world.handled) == sorted(ids)


async def test_reading_the_streams_again_records_nothing_twice(world):
    await world.force({"price": "x"}, 3)
    async with world.running(world.group()):
        await world.eventually(lambda: _on_stream(world, 3))
    await asyncio.gather(*(world.keeper.ingest.step() for _ in range(4)))
    assert len(await world.letters()) == 3
    await world.pool.execute("delete from dead_letter_position")
    await world.keeper.ingest.step()
    rows = await world.letters()
    assert [row["failures"] for row in rows] == [1, 1, 1]


async def test_what_nobody_can_store_or_read_is_recorded_all_the_same(world):
    beside = json.dumps(
        {"group": GROUP, "message": "a\u0000b", "attempts": '[{"error":"\\u0000"}]', "failedAt": "?"}
    )
    await world.store.xadd(f"{TOPIC}.dlq", {"data": b"\xff\x00 not json", "metadata": beside})
    await world.store.xadd(f"{TOPIC}.dlq", {"data": b"{}", "metadata": "not json"})
    await world.store.xadd(f"{TOPIC}.dlq", {"other": "field"})
    await world.keeper.step()
    rows = {row["id"]: row for row in await world.letters()}
    assert len(rows) == 3
    assert [rows[one]["reason"] for one in sorted(rows)] == ["foreign"] * 3
    for one in rows:
        await deadletters.show(world.pool, one)


async def test_discarding_takes_the_entry_from_both_streams(world):
    await world.force({"price": "x"}, 2)
    async with world.running(*world.duties(), world.group()):
        await world.eventually(lambda: world.has(2))
        first = min(row["id"] for row in await world.letters())
        with pytest.raises(InvalidInput):
            await actions.DISCARD.apply(world.backbone, DiscardLetters(selection=ALL, because=" "))
        chosen = DiscardLetters(selection=Selection(ids=(first,)), because="test data")
        await perform(
            actions.DISCARD, world.backbone, chosen,
            actor=Actor("alice", frozenset({"operations_staff"})), audit=append_audit(world.pool), reason="test data",
        )  # fmt: skip
        await world.eventually(lambda: world.has(1))
    shown = await deadletters.show(world.pool, first)
    assert (shown["state"], shown["settled_by"], shown["settled_reason"]) == (
        "discarded",
        "alice",
        "test data",
    )
    [audited] = await world.pool.fetch("select * from audit")
    assert (audited["action"], audited["reason"], audited["outcome"]) == ("dlq.discard", "test data", "done")


async def test_a_replay_keeps_its_rate_and_can_be_cancelled(world):
    await world.force({"price": "x"}, 40)
    await look(world.pool, world.broker)
    async with world.running(world.group()):
        await world.eventually(lambda: _on_stream(world, 40))
    await world.keeper.step()
    replay = await actions.RETRY.apply(world.backbone, RetryLetters(selection=ALL, rate=10.0))
    started = asyncio.get_running_loop().time()
    async with world.running(deadletters.Replayer(world.pool, world.broker)):
        await asyncio.sleep(2.0)
    elapsed = asyncio.get_running_loop().time() - started
    found = await deadletters.replay(world.pool, replay.id)
    assert 10 <= found.sent <= 10 * elapsed + 2
    await actions.CANCEL.apply(world.backbone, CancelReplay(replay=replay.id))
    found = await deadletters.replay(world.pool, replay.id)
    assert (found.state, found.unsent) == ("cancelled", 0)
    assert found.withdrawn + found.sent == 40
    assert len(await world.letters("waiting")) == found.withdrawn


async def test_a_replay_sent_twice_has_one_effect(world):
    world.broken = RuntimeError("no index")
    async with world.running(world.relay(), world.group(), *world.duties()):
        [event] = await world.publish(1)
        await world.eventually(lambda: world.has(1))
        world.broken = None
    replay = await actions.RETRY.apply(world.backbone, RetryLetters(selection=ALL))
    replayer = deadletters.Replayer(world.pool, world.broker)
    assert await replayer.step() == 1
    await world.pool.execute("update dead_letter set sent_in = null")  # as after a crash before the commit
    assert await replayer.step() == 1
    assert await world.store.xlen(f"opsplane:retry-stream:{GROUP}") == 1
    async with world.running(world.group(), *world.duties()):
        await world.eventually(lambda: world.finished(replay.id))
    assert await world.effects() == [event]


async def test_nothing_is_replayed_by_accident(world):
    with pytest.raises(InvalidInput):
        await actions.RETRY.apply(world.backbone, RetryLetters(selection=Selection()))
    with pytest.raises(NotFound):
        await actions.RETRY.apply(world.backbone, RetryLetters(selection=ALL))
    assert await deadletters.replays(world.pool) == []


async def test_dead_letters_outlive_the_broker_and_come_back_to_their_streams(world):
    await world.force({"price": "x"}, 3)
    async with world.running(*world.duties(), world.group()):
        await world.eventually(lambda: world.has(3))
        await world.store.flushall()
        await world.eventually(lambda: world.has(3))
        rows = await world.letters()
        assert [row["failures"] for row in rows] == [1, 1, 1]
        world.accept_everything()
        replay = await actions.RETRY.apply(world.backbone, RetryLetters(selection=ALL))
        await world.eventually(lambda: world.finished(replay.id))
        await world.eventually(lambda: world.has(0))
    assert len(await world.effects()) == 3


async def test_a_replay_lost_with_the_broker_is_sent_again(world):
    world.broken = RuntimeError("no index")
    async with world.running(world.relay(), world.group(), *world.duties()):
        await world.publish(1)
        await world.eventually(lambda: world.has(1))
        world.broken = None
    replay = await actions.RETRY.apply(world.backbone, RetryLetters(selection=ALL))
    assert await deadletters.Replayer(world.pool, world.broker).step() == 1
    await world.store.flushall()
    async with world.running(world.group(), *world.duties()):
        await world.eventually(lambda: world.finished(replay.id))
        await world.eventually(lambda: world.has(0))
    assert len(await world.effects()) == 1


async def test_foreign_dead_letters_go_back_to_their_topic(world):
    body = json.dumps(
        {"specversion": "1.0", "id": "f1", "source": "dapr", "type": TOPIC, "data": {"sku": "a", "price": 1}}
    )
    await world.store.xadd(f"{TOPIC}.dlq", {"data": body})
    async with world.running(*world.duties(), world.group()):
        await world.eventually(lambda: world.letters("waiting"))
        preview = await actions.RETRY.preview(world.backbone, RetryLetters(selection=ALL))
        assert "foreign" in preview.summary
        replay = await actions.RETRY.apply(world.backbone, RetryLetters(selection=ALL))
        await world.eventually(lambda: world.finished(replay.id))
        await world.eventually(lambda: world.has(0))

        async def arrived():
            return await world.effects() == ["f1"]

        await world.eventually(arrived)


async def _on_stream(world, count: int) -> bool:
    return await world.store.xlen(f"{TOPIC}.dlq") == count
