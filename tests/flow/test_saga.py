"""The order saga across the services: every ending, every compensation, each effect once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.flow.shop import Shop, opened

from opsplane.commerce.catalog.model import OrderStatus
from opsplane.commerce.catalog.stock import change_stock
from opsplane.database import Connection
from opsplane.embedded import Postgres
from opsplane.events import Context, Event, consumer
from opsplane.events.brokers import keys

SAGA = (
    "orders.order.created", "orders.order.status_changed", "payments.payment.confirmed", "payments.payment.failed",
    "payments.refund.requested", "payments.refund.completed", "warehouse.inventory.stock_changed",
    "warehouse.inventory.reservation_refused", "catalog.product.created",
)  # fmt: skip


@pytest.fixture
async def shop(postgres: Postgres, broker_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    async with opened(postgres, broker_url, tmp_path) as shop:
        yield shop


async def found(shop: Shop, text: str) -> list[dict[str, Any]]:
    return list((await shop.ask("search", "GET", f"search?q={text}"))["data"])


async def test_paid_order_is_confirmed_and_its_stock_taken(shop: Shop) -> None:
    product = await shop.product("SAGA-1", stock=10)
    order = await shop.buy(product, 3)
    assert await shop.settled(order) == ["CONFIRMED"]
    assert await shop.paid(order) == ["confirmed"]
    assert await shop.stock(product) == 7
    assert [(hit["sku"], hit["stock"]) for hit in await found(shop, "saga")] == [("SAGA-1", 7)]
    history = (await shop.ask("order", "GET", f"orders/{order}"))["history"]
    assert [step["status"] for step in history] == ["PENDING", "CONFIRMED"]
    assert await shop.dead_letters() == 0


async def test_unpaid_order_is_cancelled_and_its_stock_put_back(shop: Shop) -> None:
    product = await shop.product("SAGA-2", stock=10)
    await shop.processor(failureRate=1.0)
    order = await shop.buy(product, 3)
    assert await shop.settled(order) == ["CANCELLED"]
    assert await shop.paid(order) == ["failed"]
    assert await shop.stock(product) == 10
    assert (await shop.ask("order", "GET", f"orders/{order}"))["reason"] == "payment failed: card declined"


async def test_order_cancelled_while_its_payment_is_under_way_is_given_back(shop: Shop) -> None:
    product = await shop.product("SAGA-3", stock=10)
    await shop.processor(latencyMs=700)
    order = await shop.buy(product, 3)

    async def charging() -> bool:
        return await shop.paid(order) == ["charging"]

    await shop.until(charging)
    await shop.ask("order", "POST", f"orders/{order}/cancel")
    assert await shop.settled(order) == ["CANCELLED"]
    assert await shop.paid(order) == ["refunded"]
    assert await shop.stock(product) == 10


async def test_confirmed_order_can_be_cancelled_and_everything_goes_back(shop: Shop) -> None:
    product = await shop.product("SAGA-4", stock=10)
    order = await shop.buy(product, 3)
    assert await shop.settled(order) == ["CONFIRMED"]
    await shop.ask("order", "POST", f"orders/{order}/cancel")
    assert await shop.settled(order) == ["CANCELLED"]
    assert await shop.paid(order) == ["refunded"]
    assert await shop.stock(product) == 10


async def test_rush_sells_what_there_is_and_gives_the_rest_back(shop: Shop) -> None:
    product = await shop.product("SAGA-5", stock=7)
    orders = await asyncio.gather(*(shop.buy(product, 1, sub=f"customer-{n}") for n in range(20)))
    statuses = await shop.settled(*orders)
    assert sorted(statuses) == ["CANCELLED"] * 13 + ["CONFIRMED"] * 7
    assert await shop.stock(product) == 0
    for order, status in zip(orders, statuses, strict=True):
        assert await shop.paid(order) in (
            [["confirmed"]] if status == "CONFIRMED" else [["refunded"], ["voided"]]
        )
    lowest = await shop.pools["catalog"].fetch_one(
        "select min((convert_from(envelope, 'UTF8')::jsonb #>> '{data,stock}')::int) as stock"
        " from outbox where topic = 'warehouse.inventory.stock_changed'"
    )
    assert lowest is not None
    assert lowest["stock"] == 0


async def test_processor_outage_only_delays(shop: Shop) -> None:
    product = await shop.product("SAGA-6", stock=10)
    await shop.processor(outage=True)
    order = await shop.buy(product)

    async def waits() -> bool:
        text = await shop.broker.call("HGET", keys.BREAKERS, "payment-service:payment-processor")
        return text is not None and bool(json.loads(text)["opened"])

    await shop.until(waits)
    assert await shop.status(order) == "PENDING"
    await shop.processor()
    assert await shop.settled(order) == ["CONFIRMED"]
    assert await shop.dead_letters() == 0
    assert not await shop.broker.call("XLEN", keys.retry_stream("payment-service")), "no attempt was spent"


async def bought_and_repeated(shop: Shop) -> list[str]:
    """What is wrong after three orders of which every event came twice; empty when each had one effect."""
    product = await shop.product("SAGA-7", stock=10)
    orders = [await shop.buy(product, 2), await shop.buy(product, 1), await shop.buy(product, 1)]
    await shop.settled(*orders)
    await shop.ask("order", "POST", f"orders/{orders[2]}/cancel")
    await shop.settled(*orders)
    told = {name: await outbox(shop, name) for name in shop.pools}
    assert await shop.again(*SAGA) > 15
    await shop.quiet()
    wrong = [f"{name} told more" for name in shop.pools if await outbox(shop, name) != told[name]]
    if (stock := await shop.stock(product)) != 7:
        wrong.append(f"stock is {stock}")
    if (paid := [await shop.paid(order) for order in orders]) != [["confirmed"], ["confirmed"], ["refunded"]]:
        wrong.append(f"payments are {paid}")
    return wrong


async def outbox(shop: Shop, name: str) -> list[str]:
    return [
        row["event_id"] for row in await shop.pools[name].fetch("select event_id from outbox order by id")
    ]


async def test_events_delivered_twice_have_one_effect(shop: Shop) -> None:
    assert await bought_and_repeated(shop) == []
    assert await shop.dead_letters() == 0


@consumer("orders.order.status_changed", group="catalog-service")
async def naive_stock(event: Event[Any], ctx: Context) -> None:
    """Adjusts stock without remembering what it did for which order: only the inbox keeps it from doing it twice."""
    order = msgspec.convert(event.data, OrderStatus)
    sign = {"PENDING": -1, "CANCELLED": 1}.get(order.status, 0)
    async with ctx.once() as tx:
        if sign:
            deltas = {line.product_id: sign * line.quantity for line in order.items}
            await change_stock(tx, ctx.publish, deltas, "naive", order.order_id)


async def test_inbox_alone_keeps_a_naive_handler_to_one_effect(
    postgres: Postgres, broker_url: str, tmp_path: Path
) -> None:
    async with opened(postgres, broker_url, tmp_path, {"catalog": [naive_stock]}) as shop:
        assert await bought_and_repeated(shop) == []


async def test_planted_defect_a_naive_handler_without_inbox_is_caught(
    postgres: Postgres, broker_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def everything_is_fresh(
        tx: Connection, group: str, epoch: int, events: Sequence[Event[Any]]
    ) -> list[Event[Any]]:
        return list(events)

    monkeypatch.setattr("opsplane.events.context.claim_effects", everything_is_fresh)
    async with opened(postgres, broker_url, tmp_path, {"catalog": [naive_stock]}) as shop:
        wrong = await bought_and_repeated(shop)
    assert "catalog told more" in wrong
    assert any(one.startswith("stock is") for one in wrong)
