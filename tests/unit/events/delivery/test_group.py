from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from opsplane.clock import ManualClock
from opsplane.errors import Conflict, InvalidInput, NotFound, Unavailable
from opsplane.events import (
    Context,
    Entry,
    Event,
    Reject,
    RetryMover,
    Schemas,
    consumer,
    encode,
    new_event,
)
from opsplane.resilience import Retry, Stop

TOPIC = "shop.item.created"
OTHER = "shop.item.deleted"
GROUP = "indexer"
PRIVATE = f"opsplane:retry-stream:{GROUP}"
SCHEDULE = f"opsplane:retry:{GROUP}"


class Item(msgspec.Struct):
    sku: str
    price: float


class Handler:
    """Remembers what it was given, and raises what it is told to."""

    def __init__(self, *errors):
        self.seen, self.errors = [], list(errors)

    def consumer(self, topic=TOPIC, **options):
        @consumer(topic, group=options.pop("group", GROUP), **options)
        async def handle(event: Event, ctx: Context) -> None:
            self.seen.append(event.id)
            if self.errors:
                error = self.errors.pop(0)
                if error is not None:
                    raise error

        return handle


async def retried(world, group, clock, seconds):
    """Move what is due `seconds` from now and let the group process it."""
    await clock.advance(seconds)
    moved = await RetryMover(world.broker, [GROUP], clock).move()
    await world.deliver(group)
    return moved


async def test_handled_events_are_acknowledged_and_not_handled_again(world):
    handler = Handler()
    group = world.group(handler.consumer())
    events = [world.item(number) for number in range(500)]
    await world.emit(*events)
    while await world.deliver(group):
        pass
    assert handler.seen == [event.id for event in events]
    assert await world.pending() == 0
    await world.emit(*events[:10])
    assert await world.deliver(group) == 10
    assert len(handler.seen) == 500, "the seen set spares the handler"
    assert await world.pending() == 0


async def test_equal_ids_of_different_sources_are_different_events(world):
    handler = Handler()
    group = world.group(handler.consumer())
    data = {"sku": "a", "price": 1}
    await world.emit(*(new_event(TOPIC, data, source=source, id="1") for source in ("a", "b", "a")))
    await world.deliver(group)
    assert handler.seen == ["1", "1"]


async def test_a_failed_event_comes_back_to_its_group_alone_and_does_not_hold_up_others(world):
    clock, handler, other = ManualClock(datetime.now(UTC)), Handler(TimeoutError("slow")), Handler()
    group = world.group(handler.consumer(retry=Retry(3, "10s")), clock=clock)
    bystander = world.group(other.consumer(group="audit"), clock=clock)
    first, second = world.item(1), world.item(2)
    await world.emit(first, second)
    for one in (group, bystander):
        await world.deliver(one)
    assert handler.seen == [first.id, second.id]
    assert await world.pending() == 0, "scheduled and acknowledged in one step"
    assert await world.store.zcard(SCHEDULE) == 1
    assert await retried(world, group, clock, 9.0) == 0
    assert await retried(world, group, clock, 1.1) == 1
    await world.deliver(bystander)
    assert handler.seen == [first.id, second.id, first.id]
    assert other.seen == [first.id, second.id]
    assert await world.store.xlen(PRIVATE) == 0
    assert await world.dead() == []


async def test_exhausted_retries_become_a_dead_letter_with_the_whole_story(world):
    clock = ManualClock(datetime.now(UTC))
    handler = Handler(*[TimeoutError(f"slow {number}") for number in range(3)])
    group = world.group(handler.consumer(retry=Retry(2, "10s"), dead_letters="search-events"), clock=clock)
    event = world.item(1)
    [source_id] = await world.emit(event)
    await world.deliver(group)
    await retried(world, group, clock, 11)
    await retried(world, group, clock, 11)
    [(data, metadata)] = await world.dead()
    assert data == encode(event), "bytes are untouched"
    assert set(metadata) == {
        "reason", "message", "error", "fingerprint", "group", "consumer", "sourceId", "sourceTopic", "attempts",
        "deadLetters", "failedAt",
    }  # fmt: skip
    assert (metadata["reason"], metadata["message"]) == ("timeout", "slow 2")
    assert (metadata["group"], metadata["consumer"]) == (GROUP, group.consumer)
    assert (metadata["sourceId"], metadata["sourceTopic"]) == (source_id, TOPIC)
    assert metadata["deadLetters"] == "search-events"
    attempts = json.loads(metadata["attempts"])
    assert [one["error"] for one in attempts] == [f"TimeoutError: slow {number}" for number in range(3)]
    assert all(set(one) == {"at", "error", "durationMs"} for one in attempts)
    assert metadata["failedAt"] == attempts[-1]["at"]
    assert await world.store.xlen(PRIVATE) == 0
    assert await world.pending() == 0


@pytest.mark.parametrize(
    ("error", "reason", "attempts"),
    [
        (Reject("never"), "rejected", 1),
        (InvalidInput("bad"), "validation", 1),
        (NotFound("gone"), "not_found", 1),
        (Conflict("busy"), "conflict", 2),
        (ZeroDivisionError("bug"), "internal", 2),
        (TimeoutError("slow"), "timeout", 4),
        (Unavailable("down"), "unavailable", 13),
    ],
)
async def test_the_class_of_an_error_decides_how_often_it_is_tried(world, error, reason, attempts):
    clock, handler = ManualClock(datetime.now(UTC)), Handler(*[error] * 20)
    group = world.group(handler.consumer(), clock=clock)
    await world.emit(world.item(1))
    await world.deliver(group)
    while await retried(world, group, clock, 40):
        pass
    [(_, metadata)] = await world.dead()
    assert (metadata["reason"], len(handler.seen)) == (reason, attempts)


async def test_errors_of_one_cause_share_a_fingerprint(world):
    handler = Handler(Reject("order 17"), Reject("order 18"), InvalidInput("other"))
    group = world.group(handler.consumer())
    await world.emit(*[world.item(number) for number in range(3)])
    await world.deliver(group)
    one, two, three = [metadata["fingerprint"] for _, metadata in await world.dead()]
    assert one == two != three


async def test_an_invalid_event_forced_onto_the_stream_lists_every_violation(world):
    handler = Handler()
    await world.emit(new_event(TOPIC, {"price": "x", "colour": 1}, source="foreign"))
    await world.deliver(world.group(handler.consumer()))
    [(_, metadata)] = await world.dead()
    assert (metadata["reason"], handler.seen) == ("validation", [])
    violations = json.loads(metadata["violations"])
    assert {(one["pointer"], one["keyword"]) for one in violations} == {
        ("/sku", "required"),
        ("/price", "type"),
        ("", "additionalProperties"),
    }
    assert all(one["message"] for one in violations)


@pytest.mark.parametrize("data", [b"", b"not json", b"{}", b'{"id": 1}', b"\xff\xfe", b"[" * 50_000])
async def test_bytes_that_are_no_event_are_dead_letters_and_stop_nothing(world, data):
    handler = Handler()
    group = world.group(handler.consumer())
    await world.broker.publish_many([Entry(TOPIC, data)])
    await world.emit(world.item(1))
    await world.deliver(group)
    [(kept, metadata)] = await world.dead()
    assert (kept, metadata["reason"], len(handler.seen)) == (data, "undecodable", 1)


async def test_an_expired_event_goes_to_the_dead_letters(world):
    handler = Handler()
    past, future = (datetime.now(UTC) + timedelta(hours=hours) for hours in (-1, 1))
    data = {"sku": "a", "price": 1}
    await world.emit(*(new_event(TOPIC, data, source="shop", expiration=at) for at in (past, future)))
    await world.deliver(world.group(handler.consumer()))
    assert [metadata["reason"] for _, metadata in await world.dead()] == ["expired"]
    assert len(handler.seen) == 1


async def test_what_others_write_beside_an_event_is_not_believed(world):
    clock, handler = ManualClock(datetime.now(UTC)), Handler(ValueError("bug"), ValueError("bug"))
    forged = {
        "attempts": "garbage",
        "sourceTopic": OTHER,
        "sourceId": "1-1",
        "deadLetterId": "7",
        "mine": "kept",
    }
    event = world.item(1)
    [entry_id] = await world.broker.publish_many([Entry(TOPIC, encode(event), forged)])
    group = world.group(handler.consumer(), clock=clock)
    await world.deliver(group)
    await retried(world, group, clock, 40)
    [(_, metadata)] = await world.dead()
    assert (metadata["sourceTopic"], metadata["sourceId"], metadata["mine"]) == (TOPIC, entry_id, "kept")
    assert len(json.loads(metadata["attempts"])) == 2
    assert "deadLetterId" not in metadata
    await world.broker.publish_many([Entry(TOPIC, encode(world.item(2)), forged)])
    await world.deliver(group)
    assert not await world.store.exists("opsplane:replayed")


async def test_a_handler_that_does_not_return_is_ended_at_its_timeout_and_others_go_on(world):
    done = []

    @consumer(TOPIC, group=GROUP, timeout="200ms", retry=Retry(0))
    async def handle(event: Event, ctx: Context) -> None:
        if event.data["sku"] == "p1":
            await asyncio.sleep(60)
        done.append(event.data["sku"])

    async with world.running(world.group(handle)):
        await world.emit(world.item(1), world.item(2))
        await world.until(world.dead)
        await world.until(lambda: done == ["p2"])
    [(_, metadata)] = await world.dead()
    assert metadata["reason"] == "timeout"


async def test_effects_in_the_inbox_happen_once_however_often_the_event_comes(world):
    handled = []

    @consumer(TOPIC, group=GROUP)
    async def handle(event: Event, ctx: Context) -> None:
        handled.append(event.id)
        async with ctx.once() as tx:
            await tx.execute("insert into effect values (%s)", [event.id])
            await ctx.publish(tx, OTHER, {"because": event.id})

    group, event = world.group(handle), world.item(1)
    for _ in range(3):
        await world.emit(event)
        await world.deliver(group)
        for key in await world.store.keys("opsplane:seen:*"):
            await world.store.delete(key)
    assert handled == [event.id] * 3, "without the seen set every delivery reaches the handler"
    assert [row["event_id"] for row in await world.pool.fetch("select * from effect")] == [event.id]
    assert len(await world.pool.fetch("select 1 from outbox")) == 1
    assert await world.dead() == []


async def test_a_rolled_back_effect_is_done_on_the_retry(world):
    clock, fail = ManualClock(datetime.now(UTC)), [True]

    @consumer(TOPIC, group=GROUP, retry=Retry(2, "1s"))
    async def handle(event: Event, ctx: Context) -> None:
        async with ctx.once() as tx:
            await tx.execute("insert into effect values (%s)", [event.id])
            if fail:
                fail.pop()
                raise TimeoutError

    group = world.group(handle, clock=clock)
    await world.emit(world.item(1))
    await world.deliver(group)
    assert await world.pool.fetch("select 1 from effect") == []
    await retried(world, group, clock, 2)
    assert len(await world.pool.fetch("select 1 from effect")) == 1


async def test_events_published_by_a_handler_continue_the_trace(world):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    @consumer(TOPIC, group=GROUP)
    async def handle(event: Event, ctx: Context) -> None:
        async with ctx.once() as tx:
            await ctx.publish(tx, OTHER, {})

    await world.emit(msgspec.structs.replace(world.item(1), traceparent=trace))
    await world.deliver(world.group(handle))
    [row] = await world.pool.fetch("select envelope from outbox")
    found = msgspec.json.decode(row["envelope"])["traceparent"]
    assert (found[:35], found[-3:]) == (trace[:35], "-01")
    assert found != trace


async def test_a_batch_handler_gets_lists_and_a_bad_event_fails_alone(world):
    batches = []

    @consumer(TOPIC, group=GROUP, batch=4, retry=Retry(0))
    async def handle(events: list[Event], ctx) -> None:
        batches.append([event.data["sku"] for event in events])
        async with ctx.once() as (tx, fresh):
            for event in fresh:
                await tx.execute("insert into effect values (%s)", [event.data["sku"]])
            if "p5" in batches[-1]:
                raise ValueError("p5")

    group = world.group(handle)
    await world.emit(*[world.item(number) for number in range(8)])
    await world.deliver(group)
    assert batches[:2] == [["p0", "p1", "p2", "p3"], ["p4", "p5", "p6", "p7"]]
    effects = [row["event_id"] for row in await world.pool.fetch("select event_id from effect order by 1")]
    assert effects == [f"p{number}" for number in range(8) if number != 5]
    assert [json.loads(data)["data"]["sku"] for data, _ in await world.dead()] == ["p5"]
    assert await world.pending() == 0


async def test_a_batch_that_failed_for_want_of_a_dependency_is_not_tried_one_by_one(world):
    calls = []

    @consumer(TOPIC, group=GROUP, batch=50)
    async def handle(events: list[Event], ctx) -> None:
        calls.append(len(events))
        raise Unavailable("The index is down.")

    await world.emit(*[world.item(number) for number in range(50)])
    await world.deliver(world.group(handle))
    assert calls == [50]
    assert await world.store.zcard(SCHEDULE) == 50


async def test_data_comes_as_the_class_the_handler_names(world):
    found = []

    @consumer(TOPIC, group=GROUP)
    async def one(event: Event[Item], ctx: Context) -> None:
        found.append(event.data)

    @consumer(TOPIC, group="many", batch=10)
    async def many(events: list[Event[Item]], ctx) -> None:
        found.extend(event.data for event in events)

    await world.emit(world.item(1))
    await world.deliver(world.group(one))
    await world.deliver(world.group(many))
    assert found == [Item("p1", 1.5)] * 2
    world.schemas = Schemas()
    await world.emit(new_event(TOPIC, {"sku": "a", "price": "dear"}, source="shop"))
    await world.deliver(world.group(one))
    [(_, metadata)] = await world.dead()
    [violation] = json.loads(metadata["violations"])
    assert (violation["pointer"], violation["error"]) == ("/price", "type_mismatch")


def test_an_annotation_that_cannot_be_resolved_is_refused_at_once():
    with pytest.raises(InvalidInput, match="Missing"):

        @consumer(TOPIC, group=GROUP)
        async def handle(event: Event[Missing], ctx: Context) -> None: ...  # noqa: F821


async def test_concurrent_handlers_stay_within_their_number(world):
    running, most, done = 0, 0, 0

    @consumer(TOPIC, group=GROUP, concurrency=4)
    async def handle(event: Event, ctx: Context) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running, done = running - 1, done + 1

    group = world.group(handle)
    await world.emit(*[world.item(number) for number in range(60)])
    while await world.deliver(group):
        pass
    assert (most, done) == (4, 60)


async def test_reading_is_bounded(world):
    reads = []

    @consumer(TOPIC, group=GROUP)
    async def handle(event: Event, ctx: Context) -> None:
        reads.append(await world.pending())

    await world.emit(*[world.item(number) for number in range(100)])
    async with world.running(world.group(handle, prefetch=20)):
        await world.until(lambda: len(reads) == 100)
    assert max(reads) <= 20


async def test_a_paused_group_reads_nothing_until_it_is_resumed(world):
    handler, other = Handler(), Handler()
    await world.store.sadd("opsplane:paused", GROUP)
    async with world.running(world.group(handler.consumer()), world.group(other.consumer(group="audit"))):
        await world.emit(world.item(1))
        await world.until(lambda: other.seen)
        await asyncio.sleep(0.7)
        assert handler.seen == []
        await world.store.srem("opsplane:paused", GROUP)
        await world.until(lambda: handler.seen)


async def test_a_wiped_broker_is_read_again_from_its_beginning(world):
    handler = Handler()
    async with world.running(world.group(handler.consumer())):
        await world.emit(world.item(1))
        await world.until(lambda: len(handler.seen) == 1)
        await world.store.flushall()
        await world.emit(world.item(2))
        await world.until(lambda: len(handler.seen) == 2)


async def test_entries_of_a_run_that_failed_are_handled_by_the_next_one(world):
    handler = Handler()
    group = world.group(handler.consumer(), recovery_interval=0.05)
    settle, failures = world.broker.settle, [Unavailable("gone"), Unavailable("gone")]

    async def failing(*args):
        if failures:
            raise failures.pop()
        await settle(*args)

    world.broker.settle = failing
    async with world.running(group):
        await world.emit(*[world.item(number) for number in range(5)])
        await world.until(lambda: len(set(handler.seen)) == 5)
        await world.until(lambda: _none_pending(world))
    assert not failures
    assert await world.dead() == []


async def test_stopping_finishes_the_event_at_hand_and_leaves_the_rest_to_others(world):
    entered, leave, done = asyncio.Event(), asyncio.Event(), []

    @consumer(TOPIC, group=GROUP)
    async def slow(event: Event, ctx: Context) -> None:
        entered.set()
        await leave.wait()
        done.append(event.id)

    stop, group = Stop(), world.group(slow)
    task = asyncio.create_task(group.run(stop))
    await world.emit(*[world.item(number) for number in range(5)])
    await entered.wait()
    stop.set()
    leave.set()
    await task
    assert (len(done), await world.pending()) == (1, 4)
    assert not await world.store.keys("opsplane:lease:*"), "others need not wait for the lease to run out"
    handler = Handler()
    async with world.running(world.group(handler.consumer(), recovery_interval=0.05)):
        await world.until(lambda: len(handler.seen) == 4)
    assert await world.pending() == 0


async def _none_pending(world):
    return await world.pending() == 0
