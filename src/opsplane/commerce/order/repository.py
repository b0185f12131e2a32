"""The order service's tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg.rows import DictRow

from opsplane.commerce.money import Money
from opsplane.commerce.order.model import Line, Order
from opsplane.commerce.statements import Statements
from opsplane.database import Connection, Pool
from opsplane.errors import NotFound
from opsplane.web import Page

_statements = Statements(__package__)


class NoSuchOrder(NotFound):
    """No order has this id, or it is somebody else's."""


async def select_prices(tx: Connection, products: Sequence[UUID]) -> Mapping[UUID, DictRow]:
    """Name, price and whether it is sold, by product."""
    rows = await _statements.all(tx, "select_prices", products=list(products))
    return {row["product_id"]: row for row in rows}


async def insert_order(tx: Connection, customer: str, lines: Sequence[Line], total: Money) -> Order:
    """The new order with its lines."""
    row = await _statements.one(
        tx, "insert_order", customer_id=customer, currency=total.currency, total=total.amount
    )
    assert row is not None
    await _statements.run(
        tx,
        "insert_lines",
        order_id=row["id"],
        products=[line.product_id for line in lines],
        skus=[line.sku for line in lines],
        names=[line.name for line in lines],
        quantities=[line.quantity for line in lines],
        prices=[line.unit_price.amount for line in lines],
    )
    await insert_history(tx, row["id"], "PENDING", None)
    return Order.of(row, await _lines(tx, row["id"]))


async def lock_order(tx: Connection, id: UUID) -> Order:  # noqa: A002
    """The order, kept from changing until the transaction ends; raises `NoSuchOrder`."""
    return Order.of(_found(await _statements.one(tx, "lock_order", id=id), id), await _lines(tx, id))


async def update_status(tx: Connection, order: Order, status: str, reason: str | None) -> Order:
    """The order in its new status; it must have been locked before."""
    row = _found(
        await _statements.one(tx, "update_status", id=order.id, status=status, reason=reason), order.id
    )
    await insert_history(tx, order.id, status, reason)
    return Order.of(row, await _lines(tx, order.id))


async def insert_history(tx: Connection, id: UUID, status: str, reason: str | None) -> None:  # noqa: A002
    """Note a status the order has reached."""
    await _statements.run(tx, "insert_history", order_id=id, status=status, reason=reason)


async def get_order(pool: Pool, id: UUID) -> Order:  # noqa: A002
    """The order with its history; raises `NoSuchOrder`."""
    async with pool.connection() as tx:
        row = _found(await _statements.one(tx, "get_order", id=id), id)
        return Order.of(row, await _lines(tx, id), await _statements.all(tx, "list_history", order_id=id))


async def list_orders(
    pool: Pool, customer: str | None, status: str | None, page: Page
) -> tuple[list[Order], int]:
    """A page of orders, newest first, and how many there are; `customer` None means of all."""
    wanted: dict[str, Any] = {"customer_id": customer, "status": status}
    async with pool.connection() as tx:
        rows = await _statements.all(tx, "list_orders", limit=page.size, offset=page.offset, **wanted)
        counted = rows[:1] or await _statements.all(tx, "count_orders", **wanted)
        lines = await _statements.all(tx, "list_lines", orders=[row["id"] for row in rows])
    by_order: dict[UUID, list[DictRow]] = {}
    for line in lines:
        by_order.setdefault(line["order_id"], []).append(line)
    return [Order.of(row, by_order.get(row["id"], [])) for row in rows], counted[0]["total_count"]


async def _lines(tx: Connection, id: UUID) -> list[DictRow]:  # noqa: A002
    return await _statements.all(tx, "list_lines", orders=[id])


def _found(row: DictRow | None, id: UUID) -> DictRow:  # noqa: A002
    if row is None:
        raise NoSuchOrder(f"There is no order {id}.")
    return row
