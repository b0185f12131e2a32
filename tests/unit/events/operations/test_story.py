"""The whole story of an event, told by everyone who knows of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import jsonschema_rs
import pytest

from opsplane.database import Pool, sql
from opsplane.errors import NotFound
from opsplane.events import ConsumerGroup, Entry, Reject, consumer, encode, new_event
from opsplane.events.actions import RETRY, RetryLetters
from opsplane.events.backbone import ROOM
from opsplane.events.broker import Done
from opsplane.events.brokers import keys
from opsplane.events.brokers.settling import packed
from opsplane.events.deadletters import Selection
from opsplane.events.delayed import delay
from opsplane.events.personal import Personal
from opsplane.events.schemas import Schema
from opsplane.events.story import Moment, Witnesses, find, tell
from opsplane.resilience import Retry

TOPIC, CAUSED, GROUP, OTHER = (
    "catalog.product.created",
    "search.product.indexed",
    "search-service",
    "audit-service",
)


@pytest.fixture
def witnesses(world):
    return Witnesses(world.broker, {"catalog": world.pool}, world.pool, {GROUP, OTHER})


@pytest.fixture
def told(world, witnesses):
    async def tell_of(event_id: str):
        return await tell(witnesses, event_id, Personal(world.schemas))

    return tell_of


def causing(world, retry: Retry):
    """A group that fails while the world is broken, and publishes an event when it is not."""

    @consumer(TOPIC, group=GROUP, retry=retry)
    async def index(event, ctx) -> None:
        if world.broken is not None:
            raise world.broken
        async with ctx.once() as tx:
            await ctx.publish(tx, CAUSED, {"sku": event.data["sku"]}, subject=event.subject)

    return ConsumerGroup([index], world.service, world.broker, world.schemas, recovery_interval=0.05)


async def outcome(told, event_id: str, group: str = GROUP) -> str | None:
    return next((one.state for one in (await told(event_id)).groups if one.group == group), None)


async def test_the_story_goes_from_the_outbox_to_what_the_event_caused_in_time_order(world, told):
    describe(world, CAUSED)
    world.broken = TimeoutError("the index is slow")
    group = causing(world, Retry(1, "10ms"))
    async with world.running(*world.duties(), world.relay(), group, world.other_group()):
        [event_id] = await world.publish(1)
        await world.eventually(lambda: world.letters("waiting"))
        world.broken = None
        job = await RETRY.apply(world.backbone, RetryLetters(selection=Selection(everything=True)))
        await world.eventually(lambda: world.finished(job.id))
        await world.eventually(lambda: world.pool.fetch("select 1 from outbox where topic = %s", [CAUSED]))
    story = await told(event_id)
    told_of = [(one.what, one.where) for one in story.moments]
    here, service = f"group {GROUP}", "database catalog"
    assert told_of[:6] == [
        ("written", service),
        ("published", f"topic {TOPIC}"),
        ("failed", here),
        ("failed", here),
        ("became a dead letter", here),
        ("replay asked for", here),
    ]
    once = {("effect committed", here), ("caused", service)}  # in one transaction, so in either order
    assert (set(told_of[6:8]), told_of[8:]) == (once, [("replayed with success", here)])
    details = {one.what: one.detail for one in story.moments}
    assert details["failed"]["error"] == "TimeoutError: the index is slow"
    assert details["became a dead letter"]["reason"] == "timeout"
    assert (details["replay asked for"]["by"], details["published"]["sequence"]) == ("alice", 1)
    assert details["caused"]["topic"] == CAUSED
    assert {one.group: one.state for one in story.groups} == {GROUP: "acknowledged", OTHER: "acknowledged"}
    assert {one.group: one.done_at is not None for one in story.groups} == {GROUP: True, OTHER: False}
    assert (story.topic, story.source, story.missing) == (TOPIC, "catalog", [])

    child = await told(details["caused"]["event"])
    assert child.trace == story.trace
    assert ("came before", event_id) in [(one.what, one.detail.get("event")) for one in child.moments]


def describe(world, kind: str) -> None:
    """Any payload is one of this type."""
    world.schemas._schemas[kind] = Schema(kind, 1, {}, jsonschema_rs.validator_for({}))


async def test_each_group_is_where_it_is_with_the_event(world, told):
    [event_id] = await world.publish(1)
    assert [one.what for one in (await told(event_id)).moments] == ["written"]
    await world.relay().publish_waiting()
    reader = await world.broker.reader(GROUP, "one", [TOPIC])
    assert await outcome(told, event_id) == "not delivered"
    [entry] = await reader.read(10, 0.1)
    story = await told(event_id)
    [state] = story.groups
    assert (state.state, state.consumer, state.deliveries, state.entry) == ("pending", "one", 1, entry.id)

    due = datetime.now(UTC) + timedelta(hours=1)
    tried = [{"at": "2026-05-01T10:00:00+00:00", "error": "TimeoutError: slow", "durationMs": 3.5}]
    beside = {"attempts": json.dumps(tried), "sourceTopic": TOPIC, "sourceId": entry.id}
    await world.broker.schedule_retry(GROUP, entry, beside, due.timestamp())
    story = await told(event_id)
    [state] = story.groups
    assert (state.state, state.until.replace(microsecond=0)) == ("waiting", due.replace(microsecond=0))
    assert (
        Moment(
            datetime(2026, 5, 1, 10, tzinfo=UTC),
            "failed",
            f"group {GROUP}",
            {"attempt": 1, "error": "TimeoutError: slow", "durationMs": 3.5},
        )
        in story.moments
    )

    await world.broker.move_due_retries(GROUP, due.timestamp() + 1)
    [again] = await reader.read(10, 0.1)
    [state] = (await told(event_id)).groups
    assert (state.state, state.consumer, state.entry) == ("pending", "one", again.id)
    await world.broker.dead_letter(GROUP, again, TOPIC, {**beside, "reason": "rejected", "group": GROUP})
    await world.keeper.step()
    [state] = (await told(event_id)).groups
    [letter] = await world.letters()
    assert (state.state, state.dead_letter) == ("dead letter", letter["id"])
    await reader.close()


async def test_an_event_set_aside_behind_a_failed_one_is_parked(world, told):
    first, second = await world.publish(1, 8)  # of one subject
    await world.relay().publish_waiting()
    reader = await world.broker.reader(GROUP, "one", [TOPIC])
    entries = await reader.read(10, 0.1)
    await world.broker.settle(GROUP, [Done(TOPIC, entry.id, entry.id) for entry in entries])
    await world.store.rpush(keys.aside(GROUP, "p1"), packed({"sourceTopic": TOPIC}, entries[1].data))
    assert [await outcome(told, event) for event in (first, second)] == ["acknowledged", "parked"]
    await reader.close()


async def test_a_discarded_event_and_its_edits_are_told(world, told, client):
    world.broken = Reject("no such brand")
    async with world.running(*world.duties(), world.relay(), world.group()):
        [event_id] = await world.publish(1)
        [letter] = await world.eventually(lambda: world.letters("waiting"))
        gone = await client.delete(f"/api/v1/admin/dlq/{letter['id']}", params={"reason": "a test"})
        assert gone.status_code == 200
    last = (await told(event_id)).moments[-1]
    assert (last.what, last.detail["by"], last.detail["reason"]) == ("discarded", "sam", "a test")


async def test_events_of_no_outbox_are_found_on_their_topic_and_before_their_time(world, told, witnesses):
    event, later = (
        new_event(TOPIC, {"sku": "a", "price": 1}, source="edge", id=one) for one in ('a"*[x', "later")
    )
    filling = [Entry(TOPIC, encode(new_event(TOPIC, {"sku": "b"}, source="edge"))) for _ in range(1200)]
    await world.broker.publish_many([Entry(TOPIC, encode(event)), *filling])
    story = await told('a"*[x')
    assert [one.what for one in story.moments] == ["published"]
    due = datetime.now(UTC) + timedelta(hours=1)
    await delay(world.broker, TOPIC, encode(later), due)
    [moment] = (await told("later")).moments
    assert (moment.what, moment.at.replace(microsecond=0)) == ("is due", due.replace(microsecond=0))
    found = await find(witnesses, "later", Personal(world.schemas))
    assert found.event["data"] == {"sku": "a", "price": 1}
    with pytest.raises(NotFound, match="5000 entries"):
        await told("no such event")


async def test_who_is_away_is_named_and_the_others_are_heard(world, database):
    [event_id] = await world.publish(1)
    await world.relay().publish_waiting()
    lost = await Pool.open(database)
    await lost.close()
    databases = {"catalog": world.pool, "order": lost}
    away = Witnesses(world.broker, databases, None, {GROUP}, away={"payment": "it did not answer"})
    story = await tell(away, event_id, Personal(world.schemas))
    assert [one.what for one in story.moments] == ["written", "published"]
    assert {one.partition(":")[0] for one in story.missing} == {
        "database order",
        "database payment",
        "dead letters",
    }
    await world.store.xtrim(TOPIC, maxlen=0)
    [trimmed] = (
        await tell(
            Witnesses(world.broker, {"catalog": world.pool}, world.pool), event_id, Personal(world.schemas)
        )
    ).missing
    assert "no longer on the topic" in trimmed


async def test_the_story_over_http(world, client):
    event_id = (await world.publish(1))[0]
    await world.relay().publish_waiting()
    answer = await client.get(f"/api/v1/events/{event_id}/trace")
    assert answer.status_code == 200
    assert [one["what"] for one in answer.json()["data"]["moments"]] == ["written", "published"]
    shown = (await client.get(f"/api/v1/events/{event_id}")).json()["data"]
    assert shown["event"]["data"] == {"sku": "p1", "price": 1}
    assert len(shown["places"]) == 2
    assert (await client.get("/api/v1/events/unknown/trace")).status_code == 404
    assert (await client.get(f"/api/v1/events/{event_id}/trace", headers=client.customer)).status_code == 403
    assert (await client.get("/api/v1/events/topics")).json()["data"][0]["topic"] == TOPIC
    published = await client.post(f"/api/v1/events/{TOPIC}", json={"sku": "a", "price": 1})
    assert published.status_code == 202


async def test_everything_is_looked_up_by_an_index(world):
    await world.pool.execute(
        "insert into outbox (topic, event_id, envelope, trace) select 'a.b.c', n::text, '', gen_random_uuid()"
        " from generate_series(1, 30000) n"
    )
    await world.pool.execute(
        "insert into inbox (consumer_group, source, event_id) select 'g' || n % 3, 's' || n % 2, n::text"
        " from generate_series(1, 30000) n"
    )
    await world.pool.execute(
        "insert into dead_letter (stream, stream_id, topic, event_id, data, reason, message, fingerprint, attempts,"
        " first_failed_at, last_failed_at) select 's', n::text, 'a.b.c', n::text, '', 'r', 'm', 'f', '[]', now(), now()"
        " from generate_series(1, 30000) n"
    )
    await world.pool.execute("analyze")
    trace = "00000000-0000-4000-8000-000000000000"
    for name, parameters in {
        "story_written": ["7"],
        "story_trace": [trace, "7", 100],
        "story_done": [["g1", "g2"], "7"],
        "story_dead_letters": ["7"],
        "story_edits": ["7"],
    }.items():
        rows = await world.pool.fetch("explain " + sql(ROOM, name), parameters)
        plan = "\n".join(row["QUERY PLAN"] for row in rows)
        assert not any(f"Seq Scan on {table}" in plan for table in ("outbox", "inbox", "dead_letter ")), plan
