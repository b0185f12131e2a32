"""What the order service does when others tell something."""

from __future__ import annotations

from typing import Any

import msgspec

from opsplane.commerce.order import prices, repository
from opsplane.commerce.order.model import (
    TRANSITIONS,
    PaymentOutcome,
    PriceUpdated,
    ProductDeleted,
    ProductFacts,
    ProductsImported,
    ReservationRefused,
)
from opsplane.commerce.order.orders import move
from opsplane.database import Connection
from opsplane.events import DATABASE, Context, Event, consumer
from opsplane.resilience import Retry
from opsplane.telemetry import get_logger

log = get_logger("order")
GROUP = "order-service"
_RETRY = Retry(5, "200ms..10s")


@consumer("payments.payment.confirmed", group=GROUP, retry=_RETRY, concurrency=4, dependencies=(DATABASE,))
async def confirm_order(event: Event[Any], ctx: Context) -> None:
    """A paid order is confirmed; one that was cancelled meanwhile stays so, and payment gives the money back."""
    outcome = msgspec.convert(event.data, PaymentOutcome)
    async with ctx.once() as tx:
        await _move_if_possible(tx, ctx, outcome, "CONFIRMED", None)


@consumer("payments.payment.failed", group=GROUP, retry=_RETRY, concurrency=4, dependencies=(DATABASE,))
async def cancel_unpaid_order(event: Event[Any], ctx: Context) -> None:
    """An order that could not be paid is cancelled; the catalog puts its stock back then."""
    outcome = msgspec.convert(event.data, PaymentOutcome)
    async with ctx.once() as tx:
        await _move_if_possible(tx, ctx, outcome, "CANCELLED", f"payment failed: {outcome.reason}")


@consumer(
    "warehouse.inventory.reservation_refused",
    group=GROUP,
    retry=_RETRY,
    concurrency=4,
    dependencies=(DATABASE,),
)
async def cancel_short_order(event: Event[Any], ctx: Context) -> None:
    """An order for which there is not enough stock is cancelled; payment gives the money back then."""
    refused = msgspec.convert(event.data, ReservationRefused)
    async with ctx.once() as tx:
        await _move_if_possible(tx, ctx, refused, "CANCELLED", "out of stock")


@consumer(
    ("catalog.product.created", "catalog.product.updated"),
    group=GROUP,
    retry=_RETRY,
    dependencies=(DATABASE,),
)
async def learn_product(event: Event[Any], ctx: Context) -> None:
    """Know the product and its price."""
    async with ctx.once() as tx:
        await prices.learn_products(tx, [msgspec.convert(event.data, ProductFacts)])


@consumer("catalog.product.bulk_imported", group=GROUP, retry=_RETRY, dependencies=(DATABASE,))
async def learn_imported(event: Event[Any], ctx: Context) -> None:
    """Know the imported products and their prices."""
    imported = msgspec.convert(event.data, ProductsImported)
    async with ctx.once() as tx:
        await prices.learn_products(tx, imported.products)


@consumer("catalog.product.deleted", group=GROUP, retry=_RETRY, dependencies=(DATABASE,))
async def forget_product(event: Event[Any], ctx: Context) -> None:
    """Sell the product no more."""
    async with ctx.once() as tx:
        await prices.forget_product(tx, msgspec.convert(event.data, ProductDeleted))


@consumer("pricing.price.updated", group=GROUP, retry=_RETRY, dependencies=(DATABASE,))
async def learn_price(event: Event[Any], ctx: Context) -> None:
    """Know the new price."""
    async with ctx.once() as tx:
        await prices.learn_price(tx, msgspec.convert(event.data, PriceUpdated))


async def _move_if_possible(
    tx: Connection,
    ctx: Context,
    about: PaymentOutcome | ReservationRefused,
    status: str,
    reason: str | None,
) -> None:
    order = await repository.lock_order(tx, about.order_id)
    if status in TRANSITIONS[order.status]:
        await move(tx, ctx.publish, order, status, reason)
    elif order.status != status:
        log.info("order.kept", order=str(order.id), status=order.status, unwanted=status)


consumers = (
    confirm_order,
    cancel_unpaid_order,
    cancel_short_order,
    learn_product,
    learn_imported,
    forget_product,
    learn_price,
)
