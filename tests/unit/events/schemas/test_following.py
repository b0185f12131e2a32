"""What is active in the registry reaches every process, without cost per event, and is enforced there."""

from __future__ import annotations

import asyncio

import pytest
import redis.asyncio as redis
from tests.unit.events.schemas.conftest import CONSUMED, NUMBER, SUBJECT, file, price

from opsplane.events import Schemas, connect, new_event
from opsplane.events.actions.schemas import DEPRECATE, MODE, PROMOTE, DeprecateSchema, PromoteSchema, SetMode
from opsplane.events.brokers.keys import SCHEMAS
from opsplane.events.schemas import SchemaRejected
from opsplane.events.schemas.compatibility import Mode
from opsplane.events.schemas.files import register_files
from opsplane.events.schemas.projection import SchemaFollower, SchemaProjection, project
from opsplane.resilience import Stop, run_duties

OLD, NEW = {"sku": "a"}, {"sku": "a", "amount": 1}
STRICTER = price("amount", amount=NUMBER)


def admits(schemas: Schemas, data) -> bool:
    try:
        schemas.admit(new_event(SUBJECT, data, source="shop"))
    except SchemaRejected:
        return False
    return True


async def draft(held) -> None:
    """Version 1 is active, version 2, which needs an amount, waits."""
    await register_files(held.pool, [file(1, price()), file(2, STRICTER)], CONSUMED)


async def test_a_promotion_reaches_a_service_through_the_broker(held) -> None:
    await draft(held)
    judge, service = Schemas([file(1, price())]), Schemas([file(1, price())])
    projection = SchemaProjection(held.pool, held.broker, judge)
    follower = SchemaFollower(held.broker, service)
    assert not await follower.look()  # nothing is known: its own files count
    assert admits(service, OLD)
    await projection.step()
    assert (await follower.look(), await follower.look()) == (True, False)
    assert (admits(service, OLD), admits(service, NEW)) == (True, False)
    await PROMOTE.apply(held.backbone, PromoteSchema(subject=SUBJECT, version=2, force=True))
    assert await follower.look()
    assert (admits(service, OLD), admits(service, NEW)) == (False, True)
    assert admits(judge, OLD)
    await projection.step()
    assert not admits(judge, OLD)
    await DEPRECATE.apply(held.backbone, DeprecateSchema(subject=SUBJECT, version=2))
    assert await follower.look()
    assert (admits(service, OLD), admits(service, NEW)) == (True, False)


async def test_the_registrys_document_decides_over_a_file_that_was_changed(held) -> None:
    await register_files(held.pool, [file(1, price())], CONSUMED)
    changed = Schemas([file(1, STRICTER)])
    assert await register_files(held.pool, changed.declared, CONSUMED)
    await SchemaProjection(held.pool, held.broker, Schemas()).step()
    assert not admits(changed, OLD)
    await SchemaFollower(held.broker, changed).look()
    assert admits(changed, OLD)


async def test_scope_and_formats_travel_along(held) -> None:
    document = {"properties": {"data": {"properties": {"id": {"format": "uuid"}}}}}
    wanted = {**document, "x-scope": "event", "x-formats": "annotate"}
    await register_files(held.pool, [file(1, wanted)], CONSUMED)
    await project(held.pool, held.broker)
    service = Schemas()
    await SchemaFollower(held.broker, service).look()
    one = service.get(SUBJECT)
    assert (one.scope, one.formats, one.digest) == ("event", "annotate", file(1, wanted).digest)
    assert admits(service, {"id": "no"})


async def test_a_broker_that_forgot_is_told_again_and_nobody_forgets(held, broker_url) -> None:
    await draft(held)
    service = Schemas([file(1, STRICTER)])
    projection, follower = (
        SchemaProjection(held.pool, held.broker, Schemas()),
        SchemaFollower(held.broker, service),
    )
    await projection.step()
    await follower.look()
    async with redis.from_url(broker_url) as store:
        await store.flushall()
        await follower.look()
        assert admits(service, OLD)
        await projection.step()
        assert await store.exists(SCHEMAS)


async def test_a_service_goes_on_while_the_broker_is_away(held) -> None:
    service = Schemas([file(1, price())])
    gone = connect("redis://127.0.0.1:1/0")
    assert not await SchemaFollower(gone, service).look()
    assert admits(service, OLD)
    await gone.close()


async def test_only_a_change_costs_more_than_a_glance(held, broker_url) -> None:
    """The whole set is written and read once; afterwards one small field is asked for."""
    await draft(held)
    projection, follower = (
        SchemaProjection(held.pool, held.broker, Schemas()),
        SchemaFollower(held.broker, Schemas()),
    )
    await projection.step()
    await follower.look()

    async def calls() -> dict[str, int]:
        async with redis.from_url(broker_url) as store:
            stats = await store.info("commandstats")
            return {
                name: stats.get(f"cmdstat_{name}", {"calls": 0})["calls"]
                for name in ("hset", "hmget", "hget")
            }

    before = await calls()
    for _ in range(5):
        await projection.step()
        await follower.look()
    after = await calls()
    assert {name: after[name] - before[name] for name in before} == {"hset": 0, "hmget": 0, "hget": 10}


async def test_both_as_duties_within_their_second(held) -> None:
    await draft(held)
    judge, service, stop = Schemas(), Schemas(), Stop()
    duties = [SchemaProjection(held.pool, held.broker, judge), SchemaFollower(held.broker, service)]
    task = asyncio.create_task(run_duties(duties, stop))
    await held.promote(2, force=True)
    async with asyncio.timeout(20):
        while [one.get(SUBJECT) and one.get(SUBJECT).version for one in (judge, service)] != [2, 2]:
            await asyncio.sleep(0.02)
    stop.set()
    await task


async def test_previews_say_what_would_happen(held) -> None:
    await draft(held)
    wanted = PromoteSchema(subject=SUBJECT, version=2)
    preview = await PROMOTE.preview(held.backbone, wanted)
    assert "search-service" in preview.summary
    assert preview.sample[0]["pointer"] == "/amount"
    only = await DEPRECATE.preview(held.backbone, DeprecateSchema(subject=SUBJECT, version=1))
    assert "nothing of the type can be published then" in only.summary
    mode = await MODE.preview(held.backbone, SetMode(subject=SUBJECT, mode=Mode.FULL))
    assert "from BACKWARD to FULL" in mode.summary
    with pytest.raises(Exception, match="not compatible"):
        await PROMOTE.apply(held.backbone, wanted)
