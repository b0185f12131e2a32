"""The search service's index."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from opsplane.commerce.search.model import (
    Facet,
    Hit,
    PriceUpdated,
    Product,
    ProductDeleted,
    StockChanged,
    Wanted,
)
from opsplane.commerce.search.text import asked, indexed
from opsplane.commerce.statements import Statements
from opsplane.database import Connection, Pool
from opsplane.web import Page

_statements = Statements(__package__)


async def index_products(tx: Connection, products: Sequence[Product]) -> None:
    """Have the products found, unless something newer is known of them."""
    ordered = sorted(products, key=lambda product: product.id)
    ids = [product.id for product in ordered]
    versions = [product.version for product in ordered]
    await _statements.run(
        tx,
        "upsert_facts",
        products=ids,
        skus=[product.sku for product in ordered],
        names=[product.name for product in ordered],
        descriptions=[product.description for product in ordered],
        categories=[product.category for product in ordered],
        on_sale=[product.active for product in ordered],
        terms=await asyncio.to_thread(_terms, ordered),
        versions=versions,
    )
    await _statements.run(
        tx,
        "upsert_prices",
        products=ids,
        prices=[product.price.amount for product in ordered],
        currencies=[product.price.currency for product in ordered],
        versions=versions,
    )
    stocks = [product.stock for product in ordered]
    await _statements.run(tx, "upsert_stocks", products=ids, stocks=stocks, versions=versions)


async def forget_product(tx: Connection, deleted: ProductDeleted) -> None:
    """Have the product found no more; its row stays, so that late events do not bring it back."""
    await _statements.run(
        tx,
        "upsert_facts",
        products=[deleted.id],
        skus=[deleted.sku],
        names=[""],
        descriptions=[""],
        categories=[""],
        on_sale=[False],
        terms=[""],
        versions=[deleted.version],
    )


async def index_price(tx: Connection, updated: PriceUpdated) -> None:
    """Know the price, unless a newer one is known."""
    await _statements.run(
        tx,
        "upsert_prices",
        products=[updated.product_id],
        prices=[updated.price.amount],
        currencies=[updated.price.currency],
        versions=[updated.version],
    )


async def index_stocks(tx: Connection, changes: Sequence[StockChanged]) -> None:
    """Know how many pieces there are, unless something newer is known."""
    newest: dict[str, StockChanged] = {}
    for change in changes:
        known = newest.get(str(change.product_id))
        if known is None or known.version < change.version:
            newest[str(change.product_id)] = change
    ordered = [newest[product] for product in sorted(newest)]
    await _statements.run(
        tx,
        "upsert_stocks",
        products=[change.product_id for change in ordered],
        stocks=[change.stock for change in ordered],
        versions=[change.version for change in ordered],
    )


async def search(pool: Pool, wanted: Wanted, page: Page) -> tuple[list[Hit], int, list[Facet]]:
    """A page of the products that match, how many there are, and how they spread over categories.

    Text without a single word or symbol matches nothing.
    """
    query = asked(wanted.text) if wanted.text else None
    if wanted.text and query is None:
        return [], 0, []
    values = {
        "terms": query,
        "min_price": wanted.min_price,
        "max_price": wanted.max_price,
        "currency": wanted.currency,
        "in_stock": wanted.in_stock,
    }
    async with pool.connection() as tx:
        rows = await _statements.all(
            tx,
            "search_products",
            category=wanted.category,
            sort=wanted.sort,
            limit=page.size,
            offset=page.offset,
            **values,
        )
        facets = [Facet(**row) for row in await _statements.all(tx, "count_facets", **values)]
    total = rows[0]["total"] if rows else _counted(facets, wanted.category)
    return [Hit.of(row) for row in rows], total, facets


def _counted(facets: Sequence[Facet], category: str | None) -> int:
    return sum(facet.products for facet in facets if category in {None, facet.category})


def _terms(products: Sequence[Product]) -> list[str]:
    return [
        indexed((product.name, "A"), (product.sku, "A"), (product.category, "B"), (product.description, "D"))
        for product in products
    ]
