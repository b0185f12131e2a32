"""What the payment service does when others tell something."""

from __future__ import annotations

from typing import Any

import msgspec

from opsplane.commerce.payment import payments, repository
from opsplane.commerce.payment.model import OrderCreated, RefundRequested, StatusChanged
from opsplane.commerce.payment.processors import SimulatedProcessor
from opsplane.events import DATABASE, Context, Event, consumer
from opsplane.resilience import Retry

GROUP = "payment-service"
PROCESSOR = "payment-processor"
_RETRY = Retry(5, "500ms..30s")
_DEPENDENCIES = (PROCESSOR, DATABASE)


@consumer(
    "orders.order.created",
    group=GROUP,
    retry=_RETRY,
    timeout="70s",
    concurrency=16,
    dependencies=_DEPENDENCIES,
)
async def charge_order(event: Event[Any], ctx: Context) -> None:
    """Have the order paid, unless it was, or was cancelled before."""
    order = msgspec.convert(event.data, OrderCreated)
    if not await payments.begin(ctx.pool, order):
        return
    processor = SimulatedProcessor(ctx.pool, ctx.clock)
    async with ctx.dependency(PROCESSOR):
        reference, reason = await payments.charge(processor, order)
    async with ctx.once() as tx:
        await payments.settle(tx, ctx.publish, order, reference, reason)


@consumer("orders.order.status_changed", group=GROUP, retry=_RETRY, concurrency=16, dependencies=(DATABASE,))
async def follow_cancellation(event: Event[Any], ctx: Context) -> None:
    """Give back, or never take, the money of a cancelled order."""
    order = msgspec.convert(event.data, StatusChanged)
    if order.status == "CANCELLED":
        async with ctx.once() as tx:
            await payments.give_up(tx, ctx.publish, order)


@consumer(
    "payments.refund.requested",
    group=GROUP,
    retry=_RETRY,
    timeout="70s",
    concurrency=16,
    dependencies=_DEPENDENCIES,
)
async def give_back(event: Event[Any], ctx: Context) -> None:
    """Have the processor give the money back."""
    requested = msgspec.convert(event.data, RefundRequested)
    payment = await repository.get_payment(ctx.pool, requested.payment_id)
    processor = SimulatedProcessor(ctx.pool, ctx.clock)
    async with ctx.dependency(PROCESSOR):
        reference = await processor.refund(payment.reference or str(payment.order_id), payment.money)
    async with ctx.once() as tx:
        await payments.complete_refund(tx, ctx.publish, requested, reference)


consumers = (charge_order, follow_cancellation, give_back)
