"""What the catalog does when others tell something."""

from __future__ import annotations

from typing import Any

import msgspec

from opsplane.commerce.catalog.model import OrderStatus
from opsplane.commerce.catalog.stock import follow_order
from opsplane.events import DATABASE, Context, Event, consumer
from opsplane.resilience import Retry

GROUP = "catalog-service"


@consumer(
    "orders.order.status_changed",
    group=GROUP,
    retry=Retry(5, "200ms..10s"),
    concurrency=4,
    dependencies=(DATABASE,),
)
async def adjust_stock(event: Event[Any], ctx: Context) -> None:
    """Take, keep or put back stock as the order goes on."""
    order = msgspec.convert(event.data, OrderStatus)
    async with ctx.once() as tx:
        await follow_order(tx, ctx.publish, order)
