"""What the order service speaks of. (Annotations are read at run time.)"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from opsplane.commerce.money import Money

CREATED = "orders.order.created"
STATUS_CHANGED = "orders.order.status_changed"

Status = Literal["PENDING", "CONFIRMED", "PROCESSING", "SHIPPED", "DELIVERED", "CANCELLED"]
TRANSITIONS: Mapping[str, frozenset[str]] = {
    "PENDING": frozenset({"CONFIRMED", "CANCELLED"}),
    "CONFIRMED": frozenset({"PROCESSING", "CANCELLED"}),
    "PROCESSING": frozenset({"SHIPPED", "CANCELLED"}),
    "SHIPPED": frozenset({"DELIVERED"}),
    "DELIVERED": frozenset(),
    "CANCELLED": frozenset(),
}


class WantedLine(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """So many pieces of a product."""

    product_id: UUID
    quantity: Annotated[int, Meta(ge=1, le=10_000)]


class NewOrder(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What a customer wants; prices are the platform's, never the customer's."""

    items: Annotated[list[WantedLine], Meta(min_length=1, max_length=100)]


class NewStatus(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The next status of an order."""

    status: Literal["PROCESSING", "SHIPPED", "DELIVERED"]


class Cancellation(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Why an order is to be cancelled."""

    reason: Annotated[str, Meta(min_length=1, max_length=200)] = "cancelled by the customer"


class Line(msgspec.Struct, frozen=True, rename="camel"):
    """A line of an order, with the price of the time it was placed."""

    product_id: UUID
    sku: str
    name: str
    quantity: int
    unit_price: Money


class Step(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A status an order reached."""

    status: str
    at: datetime
    reason: str | None = None


class Order(msgspec.Struct, frozen=True, rename="camel"):
    """An order; `reason` says why it was cancelled, `history` what it went through (where asked for)."""

    id: UUID
    customer_id: str
    status: Status
    reason: str | None
    total: Money
    items: list[Line]
    created_at: datetime
    updated_at: datetime
    history: list[Step] = []

    @classmethod
    def of(
        cls,
        row: Mapping[str, Any],
        lines: Sequence[Mapping[str, Any]],
        history: Sequence[Mapping[str, Any]] = (),
    ) -> "Order":
        """The order in rows of the tables."""
        currency = row["currency"]
        return cls(
            id=row["id"],
            customer_id=row["customer_id"],
            status=row["status"],
            reason=row["reason"],
            total=Money.of(row["total"], currency),
            items=[
                Line(
                    line["product_id"],
                    line["sku"],
                    line["name"],
                    line["quantity"],
                    Money.of(line["unit_price"], currency),
                )
                for line in lines
            ],
            created_at=row["created_at"],
            updated_at=row["updated_at"],
            history=[Step(step["status"], step["at"], step["reason"]) for step in history],
        )


class EventLine(msgspec.Struct, frozen=True, rename="camel"):
    """A line as events tell it."""

    product_id: UUID
    sku: str
    quantity: int
    unit_price: Money


class OrderCreated(msgspec.Struct, frozen=True, rename="camel"):
    """An order was placed and is to be paid."""

    order_id: UUID
    customer_id: str
    total: Money
    items: list[EventLine]


class StatusChanged(msgspec.Struct, frozen=True, rename="camel"):
    """An order has reached `status`; `previous` is null when it was just placed."""

    order_id: UUID
    customer_id: str
    status: str
    previous: str | None
    reason: str | None
    total: Money
    items: list[EventLine]


class ProductFacts(msgspec.Struct, frozen=True, rename="camel"):
    """What this service reads of catalog events about a product."""

    id: UUID
    sku: str
    name: str
    price: Money
    active: bool
    version: int


class ProductsImported(msgspec.Struct, frozen=True, rename="camel"):
    """What this service reads of `catalog.product.bulk_imported`."""

    products: list[ProductFacts]


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


class PaymentOutcome(msgspec.Struct, frozen=True, rename="camel"):
    """What this service reads of `payments.payment.{confirmed,failed}`."""

    order_id: UUID
    reason: str | None = None


class ReservationRefused(msgspec.Struct, frozen=True, rename="camel"):
    """What this service reads of `warehouse.inventory.reservation_refused`."""

    order_id: UUID
