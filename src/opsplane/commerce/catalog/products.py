"""What happens to products: each change and its event in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from opsplane.commerce.catalog import model, repository
from opsplane.commerce.catalog.model import NewProduct, Product, ProductChange, StockChange
from opsplane.commerce.catalog.stock import change_stock
from opsplane.commerce.money import Money
from opsplane.commerce.publishing import publishes
from opsplane.database import Connection
from opsplane.errors import Conflict
from opsplane.service import Runtime
from opsplane.web import Page

ROWS_PER_EVENT = 250


class OutOfStock(Conflict):
    """There are fewer pieces than are to be taken; nothing was changed."""


class Products:
    """The products of the catalog; every change is published."""

    def __init__(self, runtime: Runtime) -> None:
        self._pool = runtime.pool
        self._publish = publishes(runtime.outbox)

    async def page(self, category: str | None, page: Page) -> tuple[list[Product], int]:
        """A page of the products on sale, and how many there are."""
        return await repository.list_products(self._pool, category, page)

    async def get(self, id: UUID) -> Product:  # noqa: A002
        """The product; raises `NoSuchProduct`."""
        return await repository.get_product(self._pool, id)

    async def create(self, new: NewProduct) -> Product:
        """The product as added; raises `SkuTaken`."""
        async with self._pool.transaction() as tx:
            product = await repository.insert_product(tx, new)
            await self._publish(tx, model.CREATED, product, subject=str(product.id))
        return product

    async def change(self, id: UUID, change: ProductChange) -> Product:  # noqa: A002
        """The product as changed; raises `NoSuchProduct`."""
        async with self._pool.transaction() as tx:
            await repository.lock_product(tx, id)
            product = await repository.update_product(tx, id, change)
            await self._publish(tx, model.UPDATED, product, subject=str(product.id))
        return product

    async def reprice(self, id: UUID, price: Money) -> Product:  # noqa: A002
        """The product with its new price; raises `NoSuchProduct`."""
        async with self._pool.transaction() as tx:
            before = await repository.lock_product(tx, id)
            product = await repository.update_price(tx, id, price)
            updated = model.PriceUpdated(product.id, product.sku, price, before.price, product.version)
            await self._publish(tx, model.PRICE_UPDATED, updated, subject=str(id))
        return product

    async def restock(self, id: UUID, change: StockChange) -> Product:  # noqa: A002
        """The product with its new stock; raises `NoSuchProduct` and `OutOfStock`."""
        async with self._pool.transaction() as tx:
            before = await repository.lock_product(tx, id)
            if before.stock + change.delta < 0:
                raise OutOfStock(f"{before.sku} has {before.stock} pieces, {-change.delta} were to be taken.")
            await change_stock(tx, self._publish, {id: change.delta}, change.reason)
            return await repository.lock_product(tx, id)

    async def delete(self, id: UUID) -> None:  # noqa: A002
        """Remove the product; raises `NoSuchProduct`."""
        async with self._pool.transaction() as tx:
            await repository.lock_product(tx, id)
            deleted = await repository.delete_product(tx, id)
            await self._publish(tx, model.DELETED, deleted, subject=str(id))


async def announce_import(runtime: Runtime, tx: Connection, keys: Sequence[Any]) -> None:
    """Tell of the products one chunk of an import has merged, some hundred an event."""
    publish = publishes(runtime.outbox)
    skus = sorted({key if isinstance(key, str) else key[0] for key in keys})
    for first in range(0, len(skus), ROWS_PER_EVENT):
        products = await repository.imported_products(tx, skus[first : first + ROWS_PER_EVENT])
        if products:
            await publish(tx, model.BULK_IMPORTED, model.ProductsImported(len(products), products))
