"""What orders hold of the stock: reserved while pending, kept when confirmed, put back when cancelled.

Events of one order may arrive out of order, so every state takes every status. A reservation only ever moves
`new → reserved → committed`, to `released` when the order is cancelled, or to `refused` when something is short;
stock is taken on entering reserved (or committed directly) and put back on leaving either for released.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from opsplane.commerce.catalog.model import (
    RESERVATION_REFUSED,
    STOCK_CHANGED,
    OrderStatus,
    ReservationRefused,
    Shortage,
    StockChanged,
)
from opsplane.commerce.publishing import Publish
from opsplane.commerce.statements import Statements
from opsplane.database import Connection

TRANSITIONS: Mapping[tuple[str, str], str] = {
    ("new", "PENDING"): "reserved",
    ("new", "CONFIRMED"): "committed",
    ("new", "CANCELLED"): "released",
    ("reserved", "CONFIRMED"): "committed",
    ("reserved", "CANCELLED"): "released",
    ("committed", "CANCELLED"): "released",
}
_HOLDING = ("reserved", "committed")
_statements = Statements(__package__)


async def follow_order(tx: Connection, publish: Publish, order: OrderStatus) -> str:
    """The state of the order's reservation after its new status."""
    await _statements.run(tx, "insert_reservation", order_id=order.order_id)
    row = await _statements.one(tx, "lock_reservation", order_id=order.order_id)
    assert row is not None
    state = row["state"]
    wanted = TRANSITIONS.get((state, order.status))
    if wanted is None:
        return str(state)
    if wanted in _HOLDING and state not in _HOLDING:
        shortages = await _take(tx, publish, order)
        if shortages:
            wanted = "refused"
            refused = ReservationRefused(order.order_id, shortages)
            await publish(tx, RESERVATION_REFUSED, refused, subject=str(order.order_id))
    elif wanted == "released" and state in _HOLDING:
        await _put_back(tx, publish, order.order_id)
    await _statements.run(tx, "update_reservation", order_id=order.order_id, state=wanted)
    return wanted


async def change_stock(
    tx: Connection,
    publish: Publish,
    deltas: Mapping[UUID, int],
    reason: str,
    order_id: UUID | None = None,
) -> None:
    """Add to the stock of products and tell it; a negative number takes out."""
    rows = await _statements.all(
        tx, "add_stock", products=list(deltas), deltas=[deltas[product] for product in deltas]
    )
    for row in sorted(rows, key=lambda row: str(row["sku"])):
        changed = StockChanged(
            product_id=row["id"],
            sku=row["sku"],
            stock=row["stock"],
            delta=row["delta"],
            reason=reason,
            version=row["version"],
            order_id=order_id,
        )
        await publish(tx, STOCK_CHANGED, changed, subject=str(row["id"]))


async def _take(tx: Connection, publish: Publish, order: OrderStatus) -> list[Shortage]:
    wanted: dict[UUID, int] = {}
    for line in order.items:
        wanted[line.product_id] = wanted.get(line.product_id, 0) + line.quantity
    available = await _lock(tx, list(wanted))
    shortages = [
        Shortage(product, quantity, available.get(product, 0))
        for product, quantity in wanted.items()
        if available.get(product, 0) < quantity
    ]
    if not shortages:
        await _statements.run(
            tx,
            "insert_reservation_lines",
            order_id=order.order_id,
            products=list(wanted),
            quantities=list(wanted.values()),
        )
        taken = {product: -quantity for product, quantity in wanted.items()}
        await change_stock(tx, publish, taken, "reserved", order.order_id)
    return shortages


async def _put_back(tx: Connection, publish: Publish, order_id: UUID) -> None:
    lines = await _statements.all(tx, "list_reservation_lines", order_id=order_id)
    held = {line["product_id"]: line["quantity"] for line in lines}
    await _lock(tx, list(held))
    await change_stock(tx, publish, held, "released", order_id)


async def _lock(tx: Connection, products: list[UUID]) -> dict[UUID, int]:
    return {row["id"]: row["stock"] for row in await _statements.all(tx, "lock_stock", products=products)}
