"""Payments: charged once, given back when the order was cancelled at any moment."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from opsplane.commerce.money import Money
from opsplane.commerce.payment import payments, service
from opsplane.commerce.payment.model import Behaviour, OrderCreated, RefundRequested, StatusChanged
from opsplane.commerce.payment.processor import Declined, ProcessorUnavailable
from opsplane.commerce.payment.processors import SimulatedProcessor
from opsplane.commerce.payment.repository import set_behaviour
from opsplane.commerce.publishing import publishes

MONEY = Money(Decimal("25.00"), "EUR")


@pytest.fixture
async def payment(serve: Any) -> Any:
    payment = await serve(service)
    await set_behaviour(payment.pool, Behaviour(latency_ms=0))
    return payment


def created() -> OrderCreated:
    return OrderCreated(uuid4(), "anna", MONEY)


async def settle(payment: Any, order: OrderCreated, reference: str | None, reason: str | None = None) -> None:
    async with payment.pool.transaction() as tx:
        await payments.settle(tx, publishes(payment.runtime.outbox), order, reference, reason)


async def cancel(payment: Any, order: OrderCreated) -> None:
    told = StatusChanged(order.order_id, order.customer_id, "CANCELLED", order.total, "changed my mind")
    async with payment.pool.transaction() as tx:
        await payments.give_up(tx, publishes(payment.runtime.outbox), told)


async def status(payment: Any, order: OrderCreated) -> str:
    answer = await payment.client.get(
        f"/api/v1/payments?orderId={order.order_id}", headers=payment.token("anna")
    )
    return str(answer.json()["data"][0]["status"])


async def give_back(payment: Any) -> None:
    for event in await payment.events():
        if event.type == "payments.refund.requested":
            requested = RefundRequested(UUID(event.data["paymentId"]), UUID(event.data["orderId"]), "x")
            async with payment.pool.transaction() as tx:
                await payments.complete_refund(tx, publishes(payment.runtime.outbox), requested, "r")


async def test_charge_confirms_or_fails(payment: Any) -> None:
    paid, declined = created(), created()
    assert await payments.begin(payment.pool, paid)
    assert await payments.begin(payment.pool, paid)  # a crash in between asks again
    await settle(payment, paid, "charge-1")
    await payments.begin(payment.pool, declined)
    await settle(payment, declined, None, "card declined")
    assert [await status(payment, paid), await status(payment, declined)] == ["confirmed", "failed"]
    assert not await payments.begin(payment.pool, paid)
    await settle(payment, paid, "charge-1")
    assert await payment.topics() == ["payments.payment.confirmed", "payments.payment.failed"]


async def test_cancelled_before_it_was_charged_never_is(payment: Any) -> None:
    order = created()
    await cancel(payment, order)
    assert not await payments.begin(payment.pool, order)
    assert await status(payment, order) == "voided"
    assert await payment.topics() == []


async def test_cancelled_while_being_charged_is_given_back(payment: Any) -> None:
    order = created()
    await payments.begin(payment.pool, order)
    await cancel(payment, order)
    assert await payments.begin(payment.pool, order)  # whoever comes after a crash still gets the answer
    await settle(payment, order, "charge-1")
    assert await status(payment, order) == "refunding"
    await give_back(payment)
    assert await status(payment, order) == "refunded"
    assert await payment.topics() == ["payments.refund.requested", "payments.refund.completed"]


async def test_cancelled_while_being_declined_owes_nothing(payment: Any) -> None:
    order = created()
    await payments.begin(payment.pool, order)
    await cancel(payment, order)
    await settle(payment, order, None, "card declined")
    assert await status(payment, order) == "voided"
    assert await payment.topics() == []


async def test_cancelled_after_it_was_charged_is_given_back_once(payment: Any) -> None:
    order = created()
    await payments.begin(payment.pool, order)
    await settle(payment, order, "charge-1")
    for _ in range(2):
        await cancel(payment, order)
        await give_back(payment)
    assert await status(payment, order) == "refunded"
    assert (await payment.topics()).count("payments.refund.completed") == 1
    refunds = await payment.pool.fetch("select amount from refund")
    assert [row["amount"] for row in refunds] == [MONEY.amount]


async def test_staff_refunds_and_customers_see_their_own(payment: Any) -> None:
    order = created()
    await payments.begin(payment.pool, order)
    await settle(payment, order, "charge-1")
    listed = await payment.client.get("/api/v1/payments", headers=payment.token("anna"))
    place = f"/api/v1/payments/{listed.json()['data'][0]['id']}"
    assert (await payment.client.get(place, headers=payment.token("bob"))).status_code == 404
    assert (await payment.client.get("/api/v1/payments", headers=payment.token("bob"))).json()["total"] == 0
    wish = {"reason": "broken cup"}
    assert (
        await payment.client.post(f"{place}/refunds", json=wish, headers=payment.token("anna"))
    ).status_code == 403
    refund = await payment.client.post(f"{place}/refunds", json=wish, headers=payment.staff)
    assert (refund.status_code, refund.json()["status"]) == (202, "refunding")
    assert (
        await payment.client.post(f"{place}/refunds", json=wish, headers=payment.staff)
    ).status_code == 409


async def test_processor_behaves_as_set(payment: Any) -> None:
    processor = SimulatedProcessor(payment.pool, payment.clock)
    keys = [f"order-{number}" for number in range(400)]
    assert await processor.charge("order-1", MONEY) == await processor.charge("order-1", MONEY)
    wanted = {"latencyMs": 0, "failureRate": 0.25, "outage": False}
    assert (
        await payment.client.put("/api/v1/payments/processor", json=wanted, headers=payment.staff)
    ).status_code == 403
    admin = payment.token("root", "admin")
    assert (
        await payment.client.put("/api/v1/payments/processor", json=wanted, headers=admin)
    ).json() == wanted
    outcomes = [await payments.charge(processor, OrderCreated(key, "anna", MONEY)) for key in keys]  # type: ignore[arg-type]
    assert 60 <= sum(reference is None for reference, _ in outcomes) <= 140
    assert outcomes == [await payments.charge(processor, OrderCreated(key, "anna", MONEY)) for key in keys]  # type: ignore[arg-type]
    await payment.client.put("/api/v1/payments/processor", json=wanted | {"outage": True}, headers=admin)
    with pytest.raises(ProcessorUnavailable):
        await processor.charge("order-1", MONEY)
    await set_behaviour(payment.pool, Behaviour(0, 1.0))
    with pytest.raises(Declined):
        await processor.charge("order-1", MONEY)
