"""What products cost, as the catalog's events tell it: this service never reads the catalog's tables.

Facts and price carry a version each, so that events of several topics may arrive in any order.
"""

from __future__ import annotations

from collections.abc import Sequence

from opsplane.commerce.order.model import PriceUpdated, ProductDeleted, ProductFacts
from opsplane.commerce.statements import Statements
from opsplane.database import Connection

_statements = Statements(__package__)


async def learn_products(tx: Connection, products: Sequence[ProductFacts]) -> None:
    """Know these products, unless something newer is known of them."""
    ordered = sorted(products, key=lambda product: product.id)
    ids = [product.id for product in ordered]
    versions = [product.version for product in ordered]
    await _statements.run(
        tx,
        "upsert_facts",
        products=ids,
        skus=[product.sku for product in ordered],
        names=[product.name for product in ordered],
        for_sale=[product.active for product in ordered],
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


async def learn_price(tx: Connection, updated: PriceUpdated) -> None:
    """Know this price, unless a newer one is known."""
    await _statements.run(
        tx,
        "upsert_prices",
        products=[updated.product_id],
        prices=[updated.price.amount],
        currencies=[updated.price.currency],
        versions=[updated.version],
    )


async def forget_product(tx: Connection, deleted: ProductDeleted) -> None:
    """Sell the product no more; its row stays, so that late events do not bring it back."""
    await _statements.run(
        tx,
        "upsert_facts",
        products=[deleted.id],
        skus=[deleted.sku],
        names=[""],
        for_sale=[False],
        versions=[deleted.version],
    )
