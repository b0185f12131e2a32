"""What the search service speaks of. (Annotations are read at run time.)"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import msgspec

from opsplane.commerce.money import Money

Sort = Literal["relevance", "price", "-price", "name", "newest"]


class Wanted(msgspec.Struct, frozen=True):
    """What is searched for; None leaves a question open."""

    text: str | None = None
    category: str | None = None
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    currency: str | None = None
    in_stock: bool | None = None
    sort: Sort = "relevance"


class Hit(msgspec.Struct, frozen=True, rename="camel"):
    """A product that matches."""

    id: UUID
    sku: str
    name: str
    description: str
    category: str
    price: Money
    stock: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Hit":
        """The product in a row of the index."""
        return cls(
            row["product_id"],
            row["sku"],
            row["name"],
            row["description"],
            row["category"],
            Money.of(row["price"], row["currency"]),
            row["stock"],
        )


class Facet(msgspec.Struct, frozen=True, rename="camel"):
    """A category, how many of the matching products it has, and what they cost."""

    category: str
    products: int
    in_stock: int
    lowest: Decimal
    highest: Decimal


class Product(msgspec.Struct, frozen=True, rename="camel"):
    """What this service reads of catalog events about a product."""

    id: UUID
    sku: str
    name: str
    description: str
    category: str
    price: Money
    stock: int
    active: bool
    version: int


class ProductsImported(msgspec.Struct, frozen=True, rename="camel"):
    """What this service reads of `catalog.product.bulk_imported`."""

    products: list[Product]


class ProductDeleted(msgspec.Struct, frozen=True, rename="camel"):
    """What this service reads of `catalog.product.deleted`."""

    id: UUID
    sku: str
    version: int


class PriceUpdated(msgspec.Struct, frozen=True, rename="camel"):
    """What this service reads of `pricing.price.updated`."""

    product_id: UUID
    price: Money
    version: int


class StockChanged(msgspec.Struct, frozen=True, rename="camel"):
    """What this service reads of `warehouse.inventory.stock_changed`."""

    product_id: UUID
    stock: int
    version: int
