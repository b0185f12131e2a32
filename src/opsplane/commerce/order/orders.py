"""What happens to orders: each change and its events in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from opsplane.commerce.money import LARGEST, Money
from opsplane.commerce.order import model, repository
from opsplane.commerce.order.idempotency import answer_once
from opsplane.commerce.order.model import Line, NewOrder, Order
from opsplane.commerce.publishing import Publish, publishes
from opsplane.database import Connection
from opsplane.errors import Conflict, InvalidInput
from opsplane.service import Runtime
from opsplane.web import Identity, Page

STAFF = ("operations_staff",)


class OrderRefused(InvalidInput):
    """The order cannot be placed; `violations` says which lines are the reason."""


class NoSuchTransition(Conflict):
    """The order's status does not lead to the wanted one; nothing was changed."""


class Orders:
    """The orders of all customers; each sees only their own, staff sees all."""

    def __init__(self, runtime: Runtime) -> None:
        self._pool = runtime.pool
        self._publish = publishes(runtime.outbox)

    async def place(self, caller: Identity, new: NewOrder, key: str | None) -> tuple[Order, bool]:
        """The order, and whether it was placed before with the same key; raises `OrderRefused`, `KeyReused`."""
        async with self._pool.transaction() as tx:
            if key is None:
                return await self._place(tx, caller.sub, new), False
            return await answer_once(tx, caller.sub, key, new, lambda: self._place(tx, caller.sub, new))

    async def get(self, caller: Identity, id: UUID) -> Order:  # noqa: A002
        """The order with its history; raises `NoSuchOrder` for somebody else's, too."""
        order = await repository.get_order(self._pool, id)
        _check_visible(caller, order)
        return order

    async def page(self, caller: Identity, status: str | None, page: Page) -> tuple[list[Order], int]:
        """A page of the caller's orders (of all orders, for staff), newest first, and how many there are."""
        customer = None if caller.holds(*STAFF) else caller.sub
        return await repository.list_orders(self._pool, customer, status, page)

    async def cancel(self, caller: Identity, id: UUID, reason: str) -> Order:  # noqa: A002
        """The order, cancelled (or having been so before); raises `NoSuchTransition` once it is on its way."""
        async with self._pool.transaction() as tx:
            order = await repository.lock_order(tx, id)
            _check_visible(caller, order)
            if order.status == "CANCELLED":
                return order
            return await move(tx, self._publish, order, "CANCELLED", reason)

    async def advance(self, id: UUID, status: str) -> Order:  # noqa: A002
        """The order in its next status; raises `NoSuchTransition`."""
        async with self._pool.transaction() as tx:
            return await move(tx, self._publish, await repository.lock_order(tx, id), status, None)

    async def _place(self, tx: Connection, customer: str, new: NewOrder) -> Order:
        wanted = [line.product_id for line in new.items]
        lines = _priced(new, await repository.select_prices(tx, wanted))
        total = _total(lines)
        order = await repository.insert_order(tx, customer, lines, total)
        created = model.OrderCreated(order.id, customer, order.total, _event_lines(order))
        await self._publish(tx, model.CREATED, created, subject=str(order.id))
        await _tell(tx, self._publish, order, None)
        return order


async def move(tx: Connection, publish: Publish, order: Order, status: str, reason: str | None) -> Order:
    """The locked order in its new status, told to others; raises `NoSuchTransition`."""
    if status not in model.TRANSITIONS[order.status]:
        raise NoSuchTransition(f"Order {order.id} is {order.status} and cannot become {status}.")
    moved = await repository.update_status(tx, order, status, reason)
    await _tell(tx, publish, moved, order.status)
    return moved


async def _tell(tx: Connection, publish: Publish, order: Order, previous: str | None) -> None:
    changed = model.StatusChanged(
        order.id, order.customer_id, order.status, previous, order.reason, order.total, _event_lines(order)
    )
    await publish(tx, model.STATUS_CHANGED, changed, subject=str(order.id))


def _check_visible(caller: Identity, order: Order) -> None:
    if order.customer_id != caller.sub and not caller.holds(*STAFF):
        raise repository.NoSuchOrder(f"There is no order {order.id}.")


def _priced(new: NewOrder, prices: Mapping[UUID, Mapping[str, Any]]) -> list[Line]:
    lines, violations = [], []
    for index, wanted in enumerate(new.items):
        known = prices.get(wanted.product_id)
        if known is None or not known["for_sale"] or known["price"] is None:
            pointer = f"/items/{index}/productId"
            violations.append({"pointer": pointer, "keyword": "exists", "message": "is not for sale"})
            continue
        price = Money.of(known["price"], known["currency"])
        lines.append(Line(wanted.product_id, known["sku"], known["name"], wanted.quantity, price))
        if price.currency != lines[0].unit_price.currency:
            message = f"is sold in {price.currency}, the order is in {lines[0].unit_price.currency}"
            violations.append(
                {"pointer": f"/items/{index}/productId", "keyword": "currency", "message": message}
            )
    if violations:
        raise OrderRefused("The order was not placed.", violations=violations)
    return lines


def _total(lines: Sequence[Line]) -> Money:
    amount = sum((line.unit_price.amount * line.quantity for line in lines), Decimal(0))
    if amount >= LARGEST:
        raise OrderRefused("The order was not placed: its total is too large.")
    return Money.of(amount, lines[0].unit_price.currency)


def _event_lines(order: Order) -> list[model.EventLine]:
    return [
        model.EventLine(line.product_id, line.sku, line.quantity, line.unit_price) for line in order.items
    ]
