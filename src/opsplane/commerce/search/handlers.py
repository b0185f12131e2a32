"""What the search service does when others tell something: it keeps its own index of what can be found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from opsplane.commerce.search import repository
from opsplane.commerce.search.model import (
    PriceUpdated,
    Product,
    ProductDeleted,
    ProductsImported,
    StockChanged,
)
from opsplane.events import DATABASE, BatchContext, Context, Event, consumer
from opsplane.resilience import Retry

GROUP = "search-service"
DEAD_LETTERS = "search-events"
_RETRY = Retry(3, "1s..30s")


@consumer(
    ("catalog.product.created", "catalog.product.updated"),
    group=GROUP,
    retry=_RETRY,
    dead_letters=DEAD_LETTERS,
    dependencies=(DATABASE,),
)
async def index_product(event: Event[Any], ctx: Context) -> None:
    """Have the product found."""
    async with ctx.once() as tx:
        await repository.index_products(tx, [msgspec.convert(event.data, Product)])


@consumer(
    "catalog.product.bulk_imported",
    group=GROUP,
    retry=_RETRY,
    dead_letters=DEAD_LETTERS,
    dependencies=(DATABASE,),
)
async def index_imported(event: Event[Any], ctx: Context) -> None:
    """Have the imported products found."""
    imported = msgspec.convert(event.data, ProductsImported)
    async with ctx.once() as tx:
        await repository.index_products(tx, imported.products)


@consumer(
    "catalog.product.deleted", group=GROUP, retry=_RETRY, dead_letters=DEAD_LETTERS, dependencies=(DATABASE,)
)
async def forget_product(event: Event[Any], ctx: Context) -> None:
    """Have the product found no more."""
    async with ctx.once() as tx:
        await repository.forget_product(tx, msgspec.convert(event.data, ProductDeleted))


@consumer(
    "pricing.price.updated", group=GROUP, retry=_RETRY, dead_letters=DEAD_LETTERS, dependencies=(DATABASE,)
)
async def index_price(event: Event[Any], ctx: Context) -> None:
    """Know the new price."""
    async with ctx.once() as tx:
        await repository.index_price(tx, msgspec.convert(event.data, PriceUpdated))


@consumer(
    "warehouse.inventory.stock_changed",
    group=GROUP,
    retry=_RETRY,
    dead_letters=DEAD_LETTERS,
    batch=200,
    dependencies=(DATABASE,),
)
async def index_stock(_events: Sequence[Event[Any]], ctx: BatchContext) -> None:
    """Know how many pieces there are."""
    async with ctx.once() as (tx, fresh):
        changes = [msgspec.convert(event.data, StockChanged) for event in fresh]
        if changes:
            await repository.index_stocks(tx, changes)


consumers = (index_product, index_imported, forget_product, index_price, index_stock)
