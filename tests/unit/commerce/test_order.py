"""Orders: placed at the platform's prices, once per key, seen by their owner, moved along one table."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from opsplane.commerce.money import Money
from opsplane.commerce.order import prices, service
from opsplane.commerce.order.model import PriceUpdated, ProductDeleted, ProductFacts

TEA, CUP, YEN = UUID(int=1), UUID(int=2), UUID(int=3)


def facts(
    product: UUID, amount: str, currency: str = "EUR", *, version: int = 1, active: bool = True
) -> ProductFacts:
    money = Money(Decimal(amount), currency)
    return ProductFacts(product, f"SKU-{product.int}", f"Чай {product.int}", money, active, version)


@pytest.fixture
async def order(serve: Any) -> Any:
    order = await serve(service)
    async with order.pool.transaction() as tx:
        await prices.learn_products(tx, [facts(TEA, "12.50"), facts(CUP, "3.99"), facts(YEN, "100", "JPY")])
    return order


async def placed(order: Any, *lines: tuple[UUID, int], sub: str = "anna", key: str | None = None) -> Any:
    items = [{"productId": str(product), "quantity": quantity} for product, quantity in lines]
    headers = order.token(sub) | ({"Idempotency-Key": key} if key else {})
    return await order.client.post("/api/v1/orders", json={"items": items}, headers=headers)


async def test_order_is_placed_at_the_platform_s_prices(order: Any) -> None:
    answer = await placed(order, (TEA, 2), (CUP, 3))
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert (body["status"], body["total"]) == ("PENDING", {"amount": "36.97", "currency": "EUR"})
    assert [line["name"] for line in body["items"]] == ["Чай 1", "Чай 2"]
    created, changed = await order.events()
    assert (created.type, changed.type) == ("orders.order.created", "orders.order.status_changed")
    assert (changed.data["previous"], changed.data["status"]) == (None, "PENDING")
    assert created.subject == changed.subject == body["id"]


async def test_what_cannot_be_ordered_is_told_line_by_line(order: Any) -> None:
    async with order.pool.transaction() as tx:
        await prices.forget_product(tx, ProductDeleted(CUP, "SKU-2", 2))
    answer = await placed(order, (TEA, 1), (uuid4(), 1), (CUP, 1), (YEN, 1))
    assert answer.status_code == 400
    assert [(v["pointer"], v["keyword"]) for v in answer.json()["violations"]] == [
        ("/items/1/productId", "exists"), ("/items/2/productId", "exists"), ("/items/3/productId", "currency"),
    ]  # fmt: skip
    assert await order.topics() == []


@pytest.mark.parametrize("items", [[], [{"productId": str(TEA), "quantity": 0}], [{"productId": "x", "quantity": 1}], [{"productId": str(TEA), "quantity": 1, "unitPrice": "0.01"}]])  # fmt: skip
async def test_bad_orders_are_refused(order: Any, items: list[Any]) -> None:
    answer = await order.client.post("/api/v1/orders", json={"items": items}, headers=order.token("anna"))
    assert answer.status_code == 400
    assert (await order.client.post("/api/v1/orders", json={"items": items})).status_code in {400, 401}


async def test_same_key_gets_the_same_answer(order: Any) -> None:
    first = await placed(order, (TEA, 1), key="k1")
    cancel = f"/api/v1/orders/{first.json()['id']}/cancel"
    assert (await order.client.post(cancel, headers=order.token("anna"))).json()["status"] == "CANCELLED"
    again = await placed(order, (TEA, 1), key="k1")
    assert (again.status_code, again.json()) == (201, first.json())
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert (await placed(order, (TEA, 2), key="k1")).status_code == 422
    assert (await placed(order, (TEA, 2), key="k1", sub="bob")).status_code == 201
    assert (await order.topics()).count("orders.order.created") == 2


async def test_same_key_at_once_places_one_order(order: Any) -> None:
    answers = await asyncio.gather(*(placed(order, (TEA, 1), key="rush") for _ in range(6)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert (await order.topics()).count("orders.order.created") == 1


async def test_a_refused_request_does_not_use_up_its_key(order: Any) -> None:
    unknown = uuid4()
    assert (await placed(order, (unknown, 1), key="k")).status_code == 400
    async with order.pool.transaction() as tx:
        await prices.learn_products(tx, [facts(unknown, "1")])
    assert (await placed(order, (unknown, 1), key="k")).status_code == 201


async def test_each_sees_only_their_own(order: Any) -> None:
    mine = (await placed(order, (TEA, 1))).json()["id"]
    await placed(order, (TEA, 1), sub="bob")
    place = f"/api/v1/orders/{mine}"
    assert (await order.client.get(place)).status_code == 401
    assert (await order.client.get(place, headers=order.token("bob"))).status_code == 404
    assert (await order.client.post(f"{place}/cancel", headers=order.token("bob"))).status_code == 404
    assert (await order.client.get(place, headers=order.token("anna"))).json()["history"][0][
        "status"
    ] == "PENDING"
    assert (await order.client.get(place, headers=order.staff)).status_code == 200
    assert (await order.client.get("/api/v1/orders", headers=order.token("anna"))).json()["total"] == 1
    assert (await order.client.get("/api/v1/orders?pageSize=1", headers=order.staff)).json()["pages"] == 2
    nothing = await order.client.get("/api/v1/orders?status=SHIPPED", headers=order.staff)
    assert (nothing.json()["data"], nothing.json()["total"]) == ([], 0)


async def test_status_moves_along_its_table(order: Any) -> None:
    place = f"/api/v1/orders/{(await placed(order, (TEA, 1))).json()['id']}"
    move = lambda status: order.client.post(f"{place}/status", json={"status": status}, headers=order.staff)  # noqa: E731
    assert (await move("PROCESSING")).status_code == 409
    await order.pool.execute("update customer_order set status = 'CONFIRMED'")
    for status in ("PROCESSING", "SHIPPED", "DELIVERED"):
        assert (await move(status)).json()["status"] == status
    cancelled = await order.client.post(f"{place}/cancel", headers=order.token("anna"))
    assert cancelled.status_code == 409
    assert (await order.client.post(f"{place}/status", json={"status": "SHIPPED"}, headers=order.token("anna"))).status_code == 403  # fmt: skip


async def test_prices_may_be_told_in_any_order(order: Any) -> None:
    late = uuid4()
    async with order.pool.transaction() as tx:
        await prices.learn_price(tx, PriceUpdated(late, Money(Decimal(9), "EUR"), 4))
        await prices.learn_products(tx, [facts(late, "7", version=3)])
        await prices.learn_price(tx, PriceUpdated(late, Money(Decimal(8), "EUR"), 2))
    assert (await placed(order, (late, 1))).json()["total"]["amount"] == "9.00"
    async with order.pool.transaction() as tx:
        await prices.forget_product(tx, ProductDeleted(late, "x", 6))
        await prices.learn_products(tx, [facts(late, "7", version=5)])
    assert (await placed(order, (late, 1))).status_code == 400
