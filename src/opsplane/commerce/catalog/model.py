"""What the catalog speaks of. (Annotations are read at run time.)"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from opsplane.commerce.money import Money

Name = Annotated[str, Meta(min_length=1, max_length=300)]
Description = Annotated[str, Meta(max_length=10_000)]
Category = Annotated[str, Meta(min_length=1, max_length=100)]
LARGEST_STOCK = 1_000_000_000

CREATED = "catalog.product.created"
UPDATED = "catalog.product.updated"
DELETED = "catalog.product.deleted"
BULK_IMPORTED = "catalog.product.bulk_imported"
PRICE_UPDATED = "pricing.price.updated"
STOCK_CHANGED = "warehouse.inventory.stock_changed"
RESERVATION_REFUSED = "warehouse.inventory.reservation_refused"


class NewProduct(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A product to be sold."""

    sku: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\s\x00-\x1f]+$")]
    name: Name
    category: Category
    price: Money
    description: Description = ""
    stock: Annotated[int, Meta(ge=0, le=LARGEST_STOCK)] = 0
    active: bool = True


class ProductChange(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What is to be told of a product from now on; what is left out stays."""

    name: Name | None = None
    description: Description | None = None
    category: Category | None = None
    active: bool | None = None


class StockChange(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """So many pieces came (or, negative, went)."""

    delta: Annotated[int, Meta(ge=-LARGEST_STOCK, le=LARGEST_STOCK)]
    reason: Annotated[str, Meta(min_length=1, max_length=200)] = "adjusted"


class Product(msgspec.Struct, frozen=True, rename="camel"):
    """A product as it is; `version` grows with every change."""

    id: UUID
    sku: str
    name: str
    description: str
    category: str
    price: Money
    stock: int
    active: bool
    version: int
    updated_at: datetime

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Product":
        """The product in a row of the table."""
        money = Money.of(row["price"], row["currency"])
        plain = {name: row[name] for name in cls.__struct_fields__ if name != "price"}
        return cls(price=money, **plain)


class ProductDeleted(msgspec.Struct, frozen=True, rename="camel"):
    """A product is no longer."""

    id: UUID
    sku: str
    version: int


class ProductsImported(msgspec.Struct, frozen=True, rename="camel"):
    """Products as they are after an import; one event of several when a chunk has many."""

    count: int
    products: list[Product]


class PriceUpdated(msgspec.Struct, frozen=True, rename="camel"):
    """The price of a product from now on."""

    product_id: UUID
    sku: str
    price: Money
    previous: Money
    version: int


class StockChanged(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The stock of a product after a change of `delta` pieces."""

    product_id: UUID
    sku: str
    stock: int
    delta: int
    reason: str
    version: int
    order_id: UUID | None = None


class Shortage(msgspec.Struct, frozen=True, rename="camel"):
    """A product of which there is not enough."""

    product_id: UUID
    wanted: int
    available: int


class ReservationRefused(msgspec.Struct, frozen=True, rename="camel"):
    """Nothing was reserved for the order, because something is short."""

    order_id: UUID
    shortages: list[Shortage]


class OrderLine(msgspec.Struct, frozen=True, rename="camel"):
    """So many pieces of a product."""

    product_id: UUID
    quantity: int


class OrderStatus(msgspec.Struct, frozen=True, rename="camel"):
    """What the catalog reads of `orders.order.status_changed`."""

    order_id: UUID
    status: str
    items: list[OrderLine]
