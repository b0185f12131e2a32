"""The products in the catalog's tables."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from opsplane.commerce.catalog.model import NewProduct, Product, ProductChange, ProductDeleted
from opsplane.commerce.money import Money
from opsplane.commerce.statements import Statements
from opsplane.database import Connection, Pool
from opsplane.errors import Conflict, NotFound
from opsplane.web import Page

_statements = Statements(__package__)


class NoSuchProduct(NotFound):
    """No product has this id."""


class SkuTaken(Conflict):
    """Another product has this sku; nothing was added."""


async def list_products(pool: Pool, category: str | None, page: Page) -> tuple[list[Product], int]:
    """A page of the products on sale, by sku, and how many there are."""
    async with pool.connection() as tx:
        rows = await _statements.all(
            tx, "list_products", category=category, limit=page.size, offset=page.offset
        )
        counted = rows[:1] or await _statements.all(tx, "count_products", category=category)
    return [Product.of(row) for row in rows], counted[0]["total"]


async def get_product(pool: Pool, id: UUID) -> Product:  # noqa: A002
    """The product; raises `NoSuchProduct`."""
    async with pool.connection() as tx:
        row = await _statements.one(tx, "get_product", id=id)
    if row is None:
        raise NoSuchProduct(f"There is no product {id}.")
    return Product.of(row)


async def insert_product(tx: Connection, new: NewProduct) -> Product:
    """The product as added; raises `SkuTaken`."""
    values = {name: getattr(new, name) for name in new.__struct_fields__ if name != "price"}
    row = await _statements.one(
        tx, "insert_product", price=new.price.amount, currency=new.price.currency, **values
    )
    if row is None:
        raise SkuTaken(f"There is a product with the sku {new.sku} already.", remedy="Change that one.")
    return Product.of(row)


async def lock_product(tx: Connection, id: UUID) -> Product:  # noqa: A002
    """The product, kept from changing until the transaction ends; raises `NoSuchProduct`."""
    row = await _statements.one(tx, "lock_product", id=id)
    if row is None:
        raise NoSuchProduct(f"There is no product {id}.")
    return Product.of(row)


async def update_product(tx: Connection, id: UUID, change: ProductChange) -> Product:  # noqa: A002
    """The product as changed; it must have been locked before."""
    values = {name: getattr(change, name) for name in change.__struct_fields__}
    row = await _statements.one(tx, "update_product", id=id, **values)
    assert row is not None
    return Product.of(row)


async def update_price(tx: Connection, id: UUID, price: Money) -> Product:  # noqa: A002
    """The product with its new price; it must have been locked before."""
    row = await _statements.one(tx, "update_price", id=id, price=price.amount, currency=price.currency)
    assert row is not None
    return Product.of(row)


async def delete_product(tx: Connection, id: UUID) -> ProductDeleted:  # noqa: A002
    """What was deleted; it must have been locked before."""
    row = await _statements.one(tx, "delete_product", id=id)
    assert row is not None
    return ProductDeleted(**row)


async def imported_products(tx: Connection, skus: Sequence[str]) -> list[Product]:
    """The products with these skus, by sku."""
    return [Product.of(row) for row in await _statements.all(tx, "select_imported", skus=list(skus))]
