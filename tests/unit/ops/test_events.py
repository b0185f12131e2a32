"""Checks of events: each is silent when all is well and finds the fault that was planted."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.unit.ops.conftest import GROUP, TOPIC, understood

from opsplane.clock import SYSTEM
from opsplane.events import Entry
from opsplane.events.brokers import keys
from opsplane.events.configuration import EventsFile
from opsplane.events.schemas import schema
from opsplane.events.schemas.files import register_files
from opsplane.events.tenure import Parked
from opsplane.events.trimming import Trimmer
from opsplane.ops.checks.breakers import Breakers
from opsplane.ops.checks.broker import LostTopics
from opsplane.ops.checks.consumers import Consumers, PendingEvents, Retries
from opsplane.ops.checks.dead_letters import DeadLetters, ForgottenLetters
from opsplane.ops.checks.outboxes import Outboxes
from opsplane.ops.checks.parked import ParkedSubjects
from opsplane.ops.checks.schemas import SchemaDrift
from opsplane.ops.checks.streams import Streams


async def read(look, count: int) -> list[bytes]:
    """A living consumer of the group is given `count` events and acknowledges none."""
    await look.broker.call("XGROUP", "CREATE", TOPIC, GROUP, "0", "MKSTREAM")
    await look.broker.call("XGROUP", "CREATECONSUMER", TOPIC, GROUP, "one")
    await look.broker.call("SET", keys.lease(GROUP, "one"), "1")
    for _ in range(count):
        await look.broker.call("XADD", TOPIC, "*", "data", "{}")
    reply = await look.broker.call("XREADGROUP", "GROUP", GROUP, "one", "STREAMS", TOPIC, ">")
    return [entry for entry, _ in reply[0][1]] if reply else []


async def test_a_breaker_that_is_open(look) -> None:
    name = f"{GROUP}:index"
    closed = {"opened": False, "since": 1.0}
    await look.broker.call("HSET", keys.BREAKERS, name, json.dumps(closed), "other:index", '{"opened": true}')
    assert await look(Breakers()) == []
    opened = {"opened": True, "since": 1.0, "until": 2.0, "openings": 3, "failure": "Unavailable: away"}
    await look.broker.call("HSET", keys.BREAKERS, name, json.dumps(opened))
    finding = await look.one(Breakers())
    assert (finding.severity, finding.evidence["state"]) == ("critical", "half_open")
    assert "Unavailable: away" in finding.summary
    assert finding.first
    assert finding.repair == look.command(f"breaker close {name} --reason 'index answers again'")
    await look.sql(f"insert into breaker_hold values ('{name}', 'alice', 'a test')")
    finding = await look.one(Breakers())
    assert (finding.severity, finding.evidence["heldBy"], finding.first) == ("warning", "alice", None)


async def test_a_group_nobody_reads_for(look) -> None:
    await read(look, 0)
    assert await look(Consumers()) == []
    await look.broker.call("DEL", keys.lease(GROUP, "one"))
    finding = await look.one(Consumers())
    assert (finding.severity, finding.evidence["alive"]) == ("critical", 0)
    assert finding.repair == look.restart("search")


async def test_a_paused_group(look) -> None:
    await read(look, 0)
    await look.sql(f"insert into group_pause values ('{GROUP}', 'alice', 'a test')")
    finding = await look.one(Consumers())
    assert finding.severity == "warning"
    assert (finding.evidence["pausedBy"], finding.evidence["reason"]) == ("alice", "a test")
    assert finding.since is not None
    assert finding.repair == look.command(f"consumer resume {GROUP}")


async def test_a_group_that_falls_behind(look) -> None:
    await read(look, 0)
    for _ in range(4):
        await look.broker.call("XADD", TOPIC, "*", "data", "{}")
    assert await look(Consumers(lag=4)) == []
    finding = await look.one(Consumers(lag=3))
    assert (finding.evidence["lag"], finding.repair) == (4, look.restart("search"))


async def test_an_event_that_is_never_finished(look) -> None:
    entries = await read(look, 2)
    assert await look(PendingEvents()) == []
    await asyncio.sleep(0.1)
    finding = await look.one(PendingEvents(seconds=0.05))
    assert finding.evidence["entry"] == entries[0].decode()
    assert (finding.evidence["consumer"], finding.evidence["stream"]) == ("one", TOPIC)
    assert finding.repair == look.restart("search")
    await look.broker.call("XACK", TOPIC, GROUP, *entries)
    assert await look(PendingEvents(seconds=0.05)) == []


async def test_a_subject_that_is_parked_for_long(look) -> None:
    since = datetime.now(UTC) - timedelta(minutes=20)
    held = Parked("shop", "e1", TOPIC, since, "dead letter", {TOPIC: "1-1"})
    await look.broker.call("HSET", keys.parked(GROUP), "order-17", msgspec.json.encode(held))
    await look.broker.call("RPUSH", keys.aside(GROUP, "order-17"), "one", "two")
    assert await look(ParkedSubjects(seconds=1800)) == []
    finding = await look.one(ParkedSubjects())
    assert (finding.evidence["subject"], finding.evidence["events"]) == ("order-17", 2)
    assert finding.repair == look.restart("search"), "no dead letter of it is known"
    await look.sql(
        "insert into dead_letter (stream, stream_id, topic, consumer_group, event_source, event_id, data, reason,"
        " message, fingerprint, attempts, first_failed_at, last_failed_at)"
        f" values ('{TOPIC}.dlq', '1-1', '{TOPIC}', '{GROUP}', 'shop', 'e1', '', 'rejected', 'no', 'f', '[]', now(), now())"
    )
    finding = await look.one(ParkedSubjects())
    number = finding.evidence["deadLetter"]
    assert finding.repair == look.command(f"dlq retry {number}")
    assert f"dlq discard {number}" in (finding.first or "")
    held = msgspec.structs.replace(held, state="retry", id="e2")
    await look.broker.call("HSET", keys.parked(GROUP), "order-17", msgspec.json.encode(held))
    assert (await look.one(ParkedSubjects())).repair == look.restart("events")


async def test_retries_that_do_not_come_back(look) -> None:
    schedule = keys.retry_schedule(GROUP)
    await look.broker.call("ZADD", schedule, repr(time.time() + 30), "later")
    assert await look(Retries()) == []
    await look.broker.call("ZADD", schedule, repr(time.time() - 90), "forgotten")
    finding = await look.one(Retries())
    assert finding.evidence["due"] == 1
    assert 90 <= finding.evidence["oldestSeconds"] < 120
    assert (finding.repair, finding.severity) == (look.restart("events"), "critical")


async def letters(look, count: int, reason: str, hours: int = 0) -> None:
    await look.sql(
        "insert into dead_letter (stream, stream_id, topic, consumer_group, data, reason, message, fingerprint,"
        f" attempts, first_failed_at, last_failed_at) select '{TOPIC}.dlq', '{reason}-' || n, '{TOPIC}', '{GROUP}',"
        f" '{{}}', '{reason}', 'because', 'f', '[]', now() - interval '{hours} hours', now()"
        f" from generate_series(1, {count}) as n"
    )


@pytest.mark.parametrize(
    ("reason", "repair", "first"),
    [
        ("internal", "dlq retry --topic {topic} --class internal", "Correct the handler"),
        ("unavailable", "dlq retry --topic {topic} --class unavailable", None),
        ("timeout", "dlq retry --topic {topic} --class timeout", None),
        ("validation", "dlq retry --topic {topic} --class validation", "by `opsplane dlq edit`"),
        ("poison", "dlq retry --topic {topic} --class poison", "Correct the handler"),
        (
            "undecodable",
            "dlq discard --topic {topic} --class undecodable --yes --reason 'can never be handled: undecodable'",
            None,
        ),
    ],
)
async def test_dead_letters_over_their_threshold(look, reason: str, repair: str, first: str | None) -> None:
    await letters(look, 10, reason)
    assert await look(DeadLetters()) == []
    await look.sql("truncate dead_letter cascade")
    await letters(look, 11, reason)
    finding = await look.one(DeadLetters())
    assert finding.repair == look.command(repair.format(topic=TOPIC))
    facts = {"topic": TOPIC, "open": 11, "threshold": 10, "count": 11, "reason": reason, "groups": [GROUP]}
    assert {name: finding.evidence[name] for name in facts} == facts
    assert (first is None) == (finding.first is None)
    assert (first or "") in (finding.first or "")


async def test_each_reason_has_its_own_repair(look) -> None:
    await letters(look, 8, "validation")
    await letters(look, 3, "timeout")
    found = await look(DeadLetters())
    assert [(one.evidence["reason"], one.evidence["count"]) for one in found] == [
        ("validation", 8),
        ("timeout", 3),
    ]
    assert len({one.repair for one in found}) == 2


async def test_dead_letters_nobody_looked_at_for_a_day(look) -> None:
    await letters(look, 2, "internal", hours=20)
    assert await look(ForgottenLetters()) == []
    await letters(look, 1, "timeout", hours=30)
    finding = await look.one(ForgottenLetters())
    assert (finding.severity, finding.evidence["count"], finding.evidence["reason"]) == (
        "warning",
        1,
        "timeout",
    )
    assert finding.repair == look.command(f"dlq retry --topic {TOPIC} --class timeout")


async def test_events_that_wait_in_an_outbox(look) -> None:
    row = "insert into outbox (topic, event_id, envelope, created_at) values ('a.b.c', 'e', '{}', now() - interval '%s s')"
    await look.sql(row % 10)
    assert await look(Outboxes()) == []
    await look.sql(row % 100)
    finding = await look.one(Outboxes())
    assert (finding.evidence["database"], finding.evidence["pending"]) == ("operations", 2)
    assert 100 <= finding.evidence["oldestSeconds"] < 160
    assert finding.repair == look.restart("operations")


async def test_schema_files_that_are_not_what_the_registry_holds(look) -> None:
    closed = {"type": "object", "additionalProperties": False}
    first, needs = {**closed, "properties": {"a": {}}}, {**closed, "properties": {"a": {}}, "required": ["a"]}
    files = [schema(TOPIC, 1, first), schema(TOPIC, 2, needs)]
    missing = await look(SchemaDrift(), schemas=files[:1])
    assert [one.repair for one in missing] == [look.restart("events")]
    await register_files(look.pool, files)
    assert await look(SchemaDrift(), schemas=files[:1]) == []
    draft = await look.one(SchemaDrift(), schemas=files)
    assert (draft.severity, draft.evidence["version"]) == ("warning", 2)
    understood(draft.repair)
    assert f"schema promote {TOPIC} 2 --force" in draft.repair
    changed = await look.one(SchemaDrift(), schemas=[schema(TOPIC, 1, closed)])
    assert (changed.severity, changed.evidence["differences"]) == ("critical", ["/properties"])
    assert (changed.repair, "next version" in changed.first) == (look.restart("events"), True)


async def test_a_lost_broker(look) -> None:
    await look.sql("insert into broker_incarnation (incarnation) values ('now')")
    assert await look(LostTopics()) == []
    await look.sql("insert into broker_incarnation (incarnation, lost_at) values ('before', now())")
    finding = await look.one(LostTopics())
    assert (finding.evidence, finding.repair) == ({"losses": 1}, look.command("topic rebuild --yes"))
    assert finding.since is not None


async def test_a_full_stream_names_the_group_that_holds_it(look, tmp_path) -> None:
    path = tmp_path / "events.yaml"
    path.write_text("topics: [{match: '*', max_length: 10}]")
    await look.broker.call("XGROUP", "CREATE", TOPIC, GROUP, "0", "MKSTREAM")
    await look.broker.call("XGROUP", "CREATE", TOPIC, "forgotten-service", "0", "MKSTREAM")
    await look.broker.publish_many([Entry(TOPIC, b"{}")] * 9)
    trimmer = Trimmer(look.broker, EventsFile(path), SYSTEM)
    await trimmer.step()
    assert await look(Streams()) == []
    await look.broker.publish_many([Entry(TOPIC, b"{}")] * 3)
    await trimmer.step()
    findings = {finding.evidence["group"]: finding for finding in await look(Streams())}
    assert findings[GROUP].repair == look.restart("search")
    assert f"nobody of the group {GROUP} reads" in findings[GROUP].summary
    forgotten = findings["forgotten-service"]
    assert forgotten.repair == look.command(f"consumer forget forgotten-service {TOPIC} --yes")
    assert forgotten.first is not None
    for group in (GROUP, "forgotten-service"):
        await look.broker.call("XGROUP", "SETID", TOPIC, group, "$")
    await trimmer.step()
    assert await look(Streams()) == []


async def test_an_eviction_is_told_with_who_lost_how_much(look, tmp_path) -> None:
    path = tmp_path / "events.yaml"
    path.write_text("topics: [{match: '*', max_length: 10, on_full: evict}]")
    await look.broker.call("XGROUP", "CREATE", TOPIC, GROUP, "0", "MKSTREAM")
    await look.broker.publish_many([Entry(TOPIC, b"{}")] * 15)
    await Trimmer(look.broker, EventsFile(path), SYSTEM).step()
    finding = await look.one(Streams())
    assert (finding.evidence["evicted"], finding.evidence["group"]) == (5, GROUP)
