"""Each metric of events, through a real Prometheus: there by name and label, and moved by what it counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.prometheus import Prometheus, check_metrics, scraping

from opsplane.embedded.keys import ensure_keys
from opsplane.embedded.ports import free_ports
from opsplane.errors import Unavailable
from opsplane.events import ConsumerGroup, Entry, Reject, consumer, encode, new_event
from opsplane.resilience import Stop
from opsplane.telemetry import Health, render_metrics
from opsplane.web import Verifier, create_app, serve

TOPIC, GROUP, FRAGILE = "catalog.product.created", "search-service", "fragile-service"


@pytest.fixture
async def prometheus(tmp_path) -> AsyncIterator[Prometheus]:
    """Scrapes this process."""
    (tmp_path / "keys").mkdir()
    ensure_keys(tmp_path / "keys")
    verifier = Verifier(tmp_path / "keys" / "jwks.json", "opsplane", "opsplane")
    port, stop = free_ports(1)[0], Stop()
    serving = asyncio.create_task(
        serve(create_app("events", [], verifier=verifier, health=Health()), "127.0.0.1", port, stop)
    )
    with scraping(tmp_path, {"events": f"127.0.0.1:{port}"}) as found:
        yield found
        stop.set()
        await serving


async def value(prometheus: Prometheus, promql: str) -> float:
    return await asyncio.to_thread(prometheus.value, promql)


class Moving:
    """What a query gives before something happens; `by` waits until it gives that much more."""

    def __init__(self, prometheus: Prometheus, promql: str) -> None:
        self._prometheus, self._promql = prometheus, promql

    async def __aenter__(self):
        self.before = await value(self._prometheus, self._promql)
        return self

    async def __aexit__(self, *_):
        pass

    async def by(self, amount: float, seconds: float = 90.0) -> None:
        async with asyncio.timeout(seconds):
            while await value(self._prometheus, self._promql) < self.before + amount:
                await asyncio.sleep(0.1)


async def settles(prometheus: Prometheus, promql: str, wanted, seconds: float = 90.0) -> None:
    async with asyncio.timeout(seconds):
        while not wanted(await value(prometheus, promql)):
            await asyncio.sleep(0.1)


def fragile(world) -> ConsumerGroup:
    @consumer(TOPIC, group=FRAGILE, dependencies=("search-index",))
    async def call(event, ctx) -> None:
        async with ctx.dependency("search-index"):
            raise Unavailable("The index is away.")

    return ConsumerGroup([call], world.service, world.broker, world.schemas)


async def test_events_published_and_handled_are_counted_and_timed(world, prometheus):
    published = f'sum(event_publish_total{{topic="{TOPIC}"}})'
    handled = f'sum(event_processing_total{{event_type="{TOPIC}",service="{GROUP}",result="success"}})'
    lag, took = (
        f'sum(event_processing_{name}_seconds_count{{service="{GROUP}"}})' for name in ("lag", "duration")
    )
    doubled = f'sum(event_processing_total{{event_type="{TOPIC}",service="{GROUP}",result="duplicate"}})'
    async with (
        Moving(prometheus, published) as one,
        Moving(prometheus, handled) as two,
        Moving(prometheus, lag) as three,
        Moving(prometheus, took) as four,
        Moving(prometheus, doubled) as five,
        world.running(*world.duties(), world.relay(), world.group()),
    ):
        for number in range(0, 300, 100):  # a lag is told for one event of each acknowledged batch
            await world.publish(*range(number, number + 100))
        await one.by(300)
        await two.by(300)
        await three.by(1)
        await four.by(1)
        await world.direct.publish(TOPIC, {"sku": "a", "price": 1}, source="test")
        await one.by(301)
        event = encode(new_event(TOPIC, {"sku": "b", "price": 1}, source="test"))
        await world.broker.publish_many([Entry(TOPIC, event), Entry(TOPIC, event)])
        await five.by(1)
    quantile = (
        f'histogram_quantile(0.99, sum by (le) (event_processing_lag_seconds_bucket{{service="{GROUP}"}}))'
    )
    assert 0 <= await value(prometheus, quantile) < 300


async def test_refused_retried_and_buried_events_are_counted_by_their_reason(world, prometheus):
    refused = (
        f'sum(event_validation_errors_total{{event_type="{TOPIC}",error_type="required_field_missing"}})'
    )
    invalid, rejected = (
        f'sum(event_processing_errors_total{{error_type="{reason}"}})'
        for reason in ("validation", "rejected")
    )
    buried = f'sum(dlq_messages_total{{topic="{TOPIC}"}})'
    open_ = f'max(dlq_messages{{topic="{TOPIC}"}})'
    ended = f'sum(event_processing_total{{event_type="{TOPIC}",service="{GROUP}",result="dead_letter"}})'
    async with (
        Moving(prometheus, refused) as violations,
        Moving(prometheus, invalid) as of_schema,
        Moving(prometheus, rejected) as of_handler,
        Moving(prometheus, buried) as letters,
        Moving(prometheus, ended) as dead,
        world.running(*world.duties(), world.relay(), world.group()),
    ):
        await world.force({"price": 1}, 3)
        await violations.by(3)
        await of_schema.by(3)
        world.broken = Reject("no such brand")
        await world.publish(1, 2)
        await of_handler.by(2)
        await letters.by(5)
        await dead.by(5)
        await settles(prometheus, open_, lambda found: found == 5)


async def test_what_waits_in_the_outbox_is_told_while_nothing_can_be_published(world, prometheus):
    pending, lag = (f'max(outbox_{name}{{database="catalog"}})' for name in ("pending", "lag_seconds"))
    await world.store.set(TOPIC, "not a stream")
    async with world.running(world.relay()):
        await world.publish(1, 2, 3)
        await settles(prometheus, pending, lambda found: found == 3)
        await settles(prometheus, lag, lambda found: found > 0.5)
        await world.store.delete(TOPIC)
        await settles(prometheus, pending, lambda found: found == 0)
        await settles(prometheus, lag, lambda found: found == 0)


async def test_a_breaker_that_opens_is_seen(world, prometheus):
    state = f'max(circuit_breaker_state{{name="{FRAGILE}:search-index"}})'
    group = fragile(world)
    async with world.running(*world.duties(), world.relay(), group):
        assert await asyncio.to_thread(prometheus.query, state) == [] or await value(prometheus, state) == 0
        await world.publish(*range(20))
        await settles(prometheus, state, lambda found: found == 1)


async def test_promtool_has_nothing_to_say(world):
    check_metrics(render_metrics())
