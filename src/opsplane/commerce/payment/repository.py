"""The payment service's tables."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg.rows import DictRow

from opsplane.commerce.money import Money
from opsplane.commerce.payment.model import Behaviour, Payment
from opsplane.commerce.statements import Statements
from opsplane.database import Connection, Pool
from opsplane.errors import NotFound
from opsplane.web import Page

_statements = Statements(__package__)


class NoSuchPayment(NotFound):
    """No payment has this id, or it is somebody else's."""


async def get_behaviour(pool: Pool) -> Behaviour:
    """How the simulated processor is to behave."""
    async with pool.connection() as tx:
        return _behaviour(await _statements.one(tx, "get_behaviour"))


async def set_behaviour(pool: Pool, wanted: Behaviour) -> Behaviour:
    """How the simulated processor behaves from now on."""
    values = {name: getattr(wanted, name) for name in wanted.__struct_fields__}
    async with pool.connection() as tx:
        return _behaviour(await _statements.one(tx, "set_behaviour", **values))


async def get_payment(pool: Pool, id: UUID) -> Payment:  # noqa: A002
    """The payment; raises `NoSuchPayment`."""
    async with pool.connection() as tx:
        return Payment.of(_found(await _statements.one(tx, "get_payment", id=id), id))


async def list_payments(
    pool: Pool, customer: str | None, order: UUID | None, page: Page
) -> tuple[list[Payment], int]:
    """A page of payments, newest first, and how many there are; None means of all."""
    wanted: dict[str, Any] = {"customer_id": customer, "order_id": order}
    async with pool.connection() as tx:
        rows = await _statements.all(tx, "list_payments", limit=page.size, offset=page.offset, **wanted)
        counted = rows[:1] or await _statements.all(tx, "count_payments", **wanted)
    return [Payment.of(row) for row in rows], counted[0]["total"]


async def insert_payment(
    tx: Connection,
    order: UUID,
    status: str,
    *,
    customer: str,
    money: Money,
    reason: str | None = None,
) -> Payment | None:
    """The new payment; None when the order has one already."""
    row = await _statements.one(
        tx,
        "insert_payment",
        order_id=order,
        customer_id=customer,
        amount=money.amount,
        currency=money.currency,
        status=status,
        reason=reason,
    )
    return Payment.of(row) if row else None


async def lock_payment_of_order(tx: Connection, order: UUID) -> Payment:
    """The payment of an order that has one, kept from changing until the transaction ends."""
    return Payment.of(_found(await _statements.one(tx, "lock_payment_of_order", order_id=order), order))


async def lock_payment(tx: Connection, id: UUID) -> Payment:  # noqa: A002
    """The payment, kept from changing until the transaction ends; raises `NoSuchPayment`."""
    return Payment.of(_found(await _statements.one(tx, "lock_payment", id=id), id))


async def update_payment(
    tx: Connection, payment: Payment, status: str, *, reference: str | None = None, reason: str | None = None
) -> Payment:
    """The payment in its new status; it must have been locked before."""
    row = await _statements.one(
        tx, "update_payment", id=payment.id, status=status, reference=reference, reason=reason
    )
    return Payment.of(_found(row, payment.id))


async def insert_refund(tx: Connection, payment: Payment, reference: str, reason: str) -> UUID | None:
    """The id of the new refund; None when the payment was given back before."""
    row = await _statements.one(
        tx,
        "insert_refund",
        payment_id=payment.id,
        amount=payment.money.amount,
        currency=payment.money.currency,
        reference=reference,
        reason=reason,
    )
    return row["id"] if row else None


def _behaviour(row: DictRow | None) -> Behaviour:
    assert row is not None
    return Behaviour(row["latency_ms"], float(row["failure_rate"]), row["outage"])


def _found(row: DictRow | None, id: UUID) -> DictRow:  # noqa: A002
    if row is None:
        raise NoSuchPayment(f"There is no payment {id}.")
    return row
