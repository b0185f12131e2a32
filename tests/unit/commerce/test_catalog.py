"""The catalog: products, prices, stock, and what orders hold of it."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from opsplane.commerce.catalog import service
from opsplane.commerce.catalog.model import OrderLine, OrderStatus
from opsplane.commerce.catalog.products import announce_import
from opsplane.commerce.catalog.stock import TRANSITIONS, follow_order
from opsplane.commerce.publishing import publishes

TEA = {"sku": "TEA-1", "name": "Thé à la menthe 🍵", "category": "tea", "price": {"amount": "12.50", "currency": "EUR"}, "stock": 10}  # fmt: skip


@pytest.fixture
async def catalog(serve: Any) -> Any:
    return await serve(service)


async def added(catalog: Any, **changes: Any) -> dict[str, Any]:
    answer = await catalog.client.post("/api/v1/products", json=TEA | changes, headers=catalog.staff)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def follow(catalog: Any, order: UUID, status: str, product: str, quantity: int) -> str:
    told = OrderStatus(order, status, [OrderLine(UUID(product), quantity)])
    async with catalog.pool.transaction() as tx:
        return await follow_order(tx, publishes(catalog.runtime.outbox), told)


async def stock(catalog: Any, product: str) -> int:
    return (await catalog.client.get(f"/api/v1/products/{product}")).json()["stock"]


async def test_product_is_added_changed_repriced_and_deleted(catalog: Any) -> None:
    product = await added(catalog)
    place = f"/api/v1/products/{product['id']}"
    assert product["price"] == {"amount": "12.50", "currency": "EUR"}
    changed = await catalog.client.patch(place, json={"name": "Мятный чай"}, headers=catalog.staff)
    assert (changed.json()["name"], changed.json()["category"]) == ("Мятный чай", "tea")
    priced = await catalog.client.put(
        f"{place}/price", json={"amount": "11", "currency": "EUR"}, headers=catalog.staff
    )
    assert priced.json()["price"] == {"amount": "11.00", "currency": "EUR"}
    listed = (await catalog.client.get("/api/v1/products?category=tea&pageSize=10")).json()
    assert (listed["total"], listed["data"][0]["sku"]) == (1, "TEA-1")
    assert (await catalog.client.delete(place, headers=catalog.staff)).status_code == 204
    assert (await catalog.client.get(place)).status_code == 404
    assert (await catalog.client.get("/api/v1/products?page=7")).json()["total"] == 0
    assert await catalog.topics() == [
        "catalog.product.created", "catalog.product.updated", "pricing.price.updated", "catalog.product.deleted",
    ]  # fmt: skip
    assert [event.data["version"] for event in await catalog.events()] == [1, 2, 3, 4]
    assert {event.subject for event in await catalog.events()} == {product["id"]}


async def test_only_staff_writes(catalog: Any) -> None:
    assert (await catalog.client.post("/api/v1/products", json=TEA)).status_code == 401
    answer = await catalog.client.post("/api/v1/products", json=TEA, headers=catalog.token("anna"))
    assert answer.status_code == 403
    assert (await catalog.client.post("/api/v1/products", json=TEA, headers=catalog.token("c", "catalog_staff"))).status_code == 201  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"price": {"amount": "-1", "currency": "EUR"}},
        {"price": {"amount": "1.001", "currency": "EUR"}},
        {"price": {"amount": "1.5", "currency": "JPY"}},
        {"price": {"amount": "1", "currency": "XXX"}},
        {"price": {"amount": "NaN", "currency": "EUR"}},
        {"sku": ""},
        {"sku": "a b"},
        {"stock": -1},
        {"nmae": "x"},
        {"name": "a\x00b"},
    ],
)
async def test_bad_products_are_refused(catalog: Any, wrong: dict[str, Any]) -> None:
    answer = await catalog.client.post("/api/v1/products", json=TEA | wrong, headers=catalog.staff)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert await catalog.topics() == []


async def test_sku_is_unique(catalog: Any) -> None:
    await added(catalog)
    again = await catalog.client.post("/api/v1/products", json=TEA, headers=catalog.staff)
    assert again.status_code == 409
    assert await catalog.topics() == ["catalog.product.created"]


async def test_stock_is_changed_but_never_negative(catalog: Any) -> None:
    product = await added(catalog)
    place = f"/api/v1/products/{product['id']}/stock"
    assert (await catalog.client.post(place, json={"delta": -10}, headers=catalog.staff)).json()["stock"] == 0
    assert (await catalog.client.post(place, json={"delta": -1}, headers=catalog.staff)).status_code == 409
    assert (await catalog.client.post(place, json={"delta": 5}, headers=catalog.staff)).json()["stock"] == 5
    assert [e.data["delta"] for e in await catalog.events() if e.type.startswith("warehouse")] == [-10, 5]


async def test_reservation_is_taken_kept_and_put_back(catalog: Any) -> None:
    product, order = (await added(catalog))["id"], uuid4()
    assert await follow(catalog, order, "PENDING", product, 4) == "reserved"
    assert await stock(catalog, product) == 6
    assert await follow(catalog, order, "CONFIRMED", product, 4) == "committed"
    assert await stock(catalog, product) == 6
    assert await follow(catalog, order, "CANCELLED", product, 4) == "released"
    assert await stock(catalog, product) == 10


async def test_statuses_out_of_order_and_repeated_have_one_effect(catalog: Any) -> None:
    product, early, late = (await added(catalog))["id"], uuid4(), uuid4()
    assert await follow(catalog, early, "CANCELLED", product, 4) == "released"
    assert await follow(catalog, early, "PENDING", product, 4) == "released"
    assert await stock(catalog, product) == 10
    assert await follow(catalog, late, "CONFIRMED", product, 4) == "committed"
    assert await follow(catalog, late, "PENDING", product, 4) == "committed"
    assert await stock(catalog, product) == 6
    for _ in range(2):
        assert await follow(catalog, late, "CANCELLED", product, 4) == "released"
    assert await stock(catalog, product) == 10


async def test_what_is_short_is_refused_whole(catalog: Any) -> None:
    plenty, scarce, order = (
        (await added(catalog))["id"],
        (await added(catalog, sku="TEA-2", stock=1))["id"],
        uuid4(),
    )
    told = OrderStatus(order, "PENDING", [OrderLine(UUID(plenty), 3), OrderLine(UUID(scarce), 2)])
    async with catalog.pool.transaction() as tx:
        assert await follow_order(tx, publishes(catalog.runtime.outbox), told) == "refused"
    assert [await stock(catalog, plenty), await stock(catalog, scarce)] == [10, 1]
    refused = (await catalog.events())[-1]
    assert refused.type == "warehouse.inventory.reservation_refused"
    assert refused.data["shortages"] == [{"productId": scarce, "wanted": 2, "available": 1}]
    assert await follow(catalog, order, "CANCELLED", plenty, 3) == "refused"
    assert await stock(catalog, plenty) == 10


async def test_rush_never_oversells(catalog: Any) -> None:
    product = (await added(catalog))["id"]
    states = await asyncio.gather(*(follow(catalog, uuid4(), "PENDING", product, 1) for _ in range(25)))
    assert sorted(states) == ["refused"] * 15 + ["reserved"] * 10
    assert await stock(catalog, product) == 0


def test_transitions_lead_to_known_states() -> None:
    states = {"new", "reserved", "committed", "released", "refused"}
    assert {state for state, _ in TRANSITIONS} | set(TRANSITIONS.values()) <= states


async def test_import_announces_its_rows_in_the_same_transaction(catalog: Any) -> None:
    for number in range(3):
        await added(catalog, sku=f"SKU-{number}")
    before = len(await catalog.topics())
    async with catalog.pool.transaction() as tx:
        await tx.execute("update product set version = version + 1 where sku <> 'SKU-1'")
        await announce_import(catalog.runtime, tx, ["SKU-0", "SKU-2"])
    events = (await catalog.events())[before:]
    assert [event.type for event in events] == ["catalog.product.bulk_imported"]
    assert [(row["sku"], row["version"]) for row in events[0].data["products"]] == [
        ("SKU-0", 2),
        ("SKU-2", 2),
    ]
