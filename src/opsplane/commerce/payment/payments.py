"""What happens to payments: each change and its events in one transaction.

The processor is asked outside of transactions, with the order's id as its key, so that asking again after a crash
charges nothing twice. Before it is asked the payment is `charging`: an order cancelled then becomes `cancelling`, and
whoever gets the processor's answer, now or after a crash, gives the money back.
"""

from __future__ import annotations

from uuid import UUID

from opsplane.commerce.payment import model, repository
from opsplane.commerce.payment.model import Behaviour, OrderCreated, Payment, StatusChanged
from opsplane.commerce.payment.processor import Declined, Processor
from opsplane.commerce.publishing import Publish, publishes
from opsplane.database import Connection, Pool
from opsplane.errors import Conflict
from opsplane.service import Runtime
from opsplane.web import Identity, Page

STAFF = ("operations_staff",)


class NotRefundable(Conflict):
    """Nothing was paid, or it is given back already."""


class Payments:
    """The payments of all customers; each sees only their own, staff sees all."""

    def __init__(self, runtime: Runtime) -> None:
        self._pool = runtime.pool
        self._publish = publishes(runtime.outbox)

    async def get(self, caller: Identity, id: UUID) -> Payment:  # noqa: A002
        """The payment; raises `NoSuchPayment` for somebody else's, too."""
        payment = await repository.get_payment(self._pool, id)
        if payment.customer_id != caller.sub and not caller.holds(*STAFF):
            raise repository.NoSuchPayment(f"There is no payment {id}.")
        return payment

    async def page(self, caller: Identity, order: UUID | None, page: Page) -> tuple[list[Payment], int]:
        """A page of the caller's payments (of all, for staff), newest first, and how many there are."""
        customer = None if caller.holds(*STAFF) else caller.sub
        return await repository.list_payments(self._pool, customer, order, page)

    async def refund(self, id: UUID, reason: str) -> Payment:  # noqa: A002
        """The payment, on its way back; raises `NoSuchPayment` and `NotRefundable`."""
        async with self._pool.transaction() as tx:
            payment = await repository.lock_payment(tx, id)
            if payment.status != "confirmed":
                raise NotRefundable(f"Payment {id} is {payment.status}.")
            return await request_refund(tx, self._publish, payment, reason)

    async def behaviour(self) -> Behaviour:
        """How the simulated processor behaves."""
        return await repository.get_behaviour(self._pool)

    async def behave(self, wanted: Behaviour) -> Behaviour:
        """Have the simulated processor behave like this from now on."""
        return await repository.set_behaviour(self._pool, wanted)


async def charge(processor: Processor, order: OrderCreated) -> tuple[str | None, str | None]:
    """The reference of the charge, or the reason why it was declined."""
    try:
        return await processor.charge(str(order.order_id), order.total), None
    except Declined as declined:
        return None, declined.message


async def begin(pool: Pool, order: OrderCreated) -> bool:
    """Whether the processor is to be asked: not when it has answered, nor when the order was cancelled before."""
    async with pool.transaction() as tx:
        fresh = await repository.insert_payment(
            tx, order.order_id, "charging", customer=order.customer_id, money=order.total
        )
        payment = fresh or await repository.lock_payment_of_order(tx, order.order_id)
    return payment.status in {"charging", "cancelling"}


async def settle(
    tx: Connection, publish: Publish, order: OrderCreated, reference: str | None, reason: str | None
) -> None:
    """Note the answer of the processor and tell it; give the money back when the order was cancelled meanwhile."""
    payment = await repository.lock_payment_of_order(tx, order.order_id)
    if payment.status == "cancelling" and reference is not None:
        await request_refund(tx, publish, payment, payment.reason or "order cancelled", reference=reference)
    elif payment.status == "cancelling":
        await repository.update_payment(tx, payment, "voided")
    elif payment.status == "charging" and reference is not None:
        await repository.update_payment(tx, payment, "confirmed", reference=reference)
        confirmed = model.PaymentConfirmed(payment.id, payment.order_id, payment.money)
        await publish(tx, model.CONFIRMED, confirmed, subject=str(payment.order_id))
    elif payment.status == "charging":
        await repository.update_payment(tx, payment, "failed", reason=reason)
        failed = model.PaymentFailed(payment.id, payment.order_id, payment.money, reason or "declined")
        await publish(tx, model.FAILED, failed, subject=str(payment.order_id))


async def give_up(tx: Connection, publish: Publish, order: StatusChanged) -> None:
    """Have a cancelled order's money given back, or see to it that it is never charged."""
    reason = order.reason or "order cancelled"
    voided = await repository.insert_payment(
        tx, order.order_id, "voided", customer=order.customer_id, money=order.total, reason=reason
    )
    if voided is not None:
        return
    payment = await repository.lock_payment_of_order(tx, order.order_id)
    if payment.status == "charging":
        await repository.update_payment(tx, payment, "cancelling", reason=reason)
    elif payment.status == "confirmed":
        await request_refund(tx, publish, payment, reason)


async def request_refund(
    tx: Connection, publish: Publish, payment: Payment, reason: str, *, reference: str | None = None
) -> Payment:
    """The locked payment, on its way back; the processor is asked when the event is handled."""
    moved = await repository.update_payment(tx, payment, "refunding", reference=reference)
    requested = model.RefundRequested(payment.id, payment.order_id, reason)
    await publish(tx, model.REFUND_REQUESTED, requested, subject=str(payment.order_id))
    return moved


async def complete_refund(
    tx: Connection, publish: Publish, requested: model.RefundRequested, reference: str
) -> None:
    """Note that the money went back and tell it, once."""
    payment = await repository.lock_payment(tx, requested.payment_id)
    refund = await repository.insert_refund(tx, payment, reference, requested.reason)
    if refund is None:
        return
    await repository.update_payment(tx, payment, "refunded", reason=requested.reason)
    completed = model.RefundCompleted(refund, payment.id, payment.order_id, payment.money, requested.reason)
    await publish(tx, model.REFUND_COMPLETED, completed, subject=str(payment.order_id))
