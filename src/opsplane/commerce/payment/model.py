"""What the payment service speaks of. (Annotations are read at run time.)"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from opsplane.commerce.money import Money

CONFIRMED = "payments.payment.confirmed"
FAILED = "payments.payment.failed"
REFUND_REQUESTED = "payments.refund.requested"
REFUND_COMPLETED = "payments.refund.completed"

Status = Literal["charging", "cancelling", "confirmed", "failed", "voided", "refunding", "refunded"]


class Payment(msgspec.Struct, frozen=True, rename="camel"):
    """The one payment of an order.

    `charging`: the processor is being asked; `cancelling`: so it is, but the order was cancelled meanwhile;
    `voided`: cancelled and never charged; `refunding`: the money is on its way back.
    """

    id: UUID
    order_id: UUID
    customer_id: str
    money: Money
    status: Status
    reference: str | None
    reason: str | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Payment":
        """The payment in a row of the table."""
        plain = {name: row[name] for name in cls.__struct_fields__ if name != "money"}
        return cls(money=Money.of(row["amount"], row["currency"]), **plain)


class RefundWish(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Why money is to be given back."""

    reason: Annotated[str, Meta(min_length=1, max_length=200)]


class Behaviour(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """How the simulated processor behaves: its latency, the share of charges it declines, whether it is down."""

    latency_ms: Annotated[int, Meta(ge=0, le=60_000)] = 20
    failure_rate: Annotated[float, Meta(ge=0, le=1)] = 0.0
    outage: bool = False


class PaymentConfirmed(msgspec.Struct, frozen=True, rename="camel"):
    """An order is paid."""

    payment_id: UUID
    order_id: UUID
    money: Money


class PaymentFailed(msgspec.Struct, frozen=True, rename="camel"):
    """An order could not be paid."""

    payment_id: UUID
    order_id: UUID
    money: Money
    reason: str


class RefundRequested(msgspec.Struct, frozen=True, rename="camel"):
    """A payment is to be given back."""

    payment_id: UUID
    order_id: UUID
    reason: str


class RefundCompleted(msgspec.Struct, frozen=True, rename="camel"):
    """A payment was given back."""

    refund_id: UUID
    payment_id: UUID
    order_id: UUID
    money: Money
    reason: str


class OrderCreated(msgspec.Struct, frozen=True, rename="camel"):
    """What this service reads of `orders.order.created`."""

    order_id: UUID
    customer_id: str
    total: Money


class StatusChanged(msgspec.Struct, frozen=True, rename="camel"):
    """What this service reads of `orders.order.status_changed`."""

    order_id: UUID
    customer_id: str
    status: str
    total: Money
    reason: str | None = None
