"""The payment service's HTTP API. (Annotations are read at run time.)"""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from litestar import Router, get, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler

from opsplane.commerce.payment.model import Behaviour, Payment, RefundWish
from opsplane.commerce.payment.payments import STAFF, Payments
from opsplane.service import Runtime
from opsplane.web import Caller, Page, PageNumber, PageSize, paged, requires

Till = NamedDependency[Payments]
OrderId = Annotated[UUID | None, QueryParameter(name="orderId")]


@get("/", operation_id="listPayments")
async def list_payments(
    payments: Till,
    identity: Caller,
    order_id: OrderId = None,
    page: PageNumber = 1,
    page_size: PageSize = 50,
) -> dict[str, Any]:
    """A page of one's own payments (of all payments, for staff), newest first; of one order where asked."""
    wanted = Page(page, page_size)
    return paged(*await payments.page(identity, order_id, wanted), wanted)


@get("/{payment_id:uuid}", operation_id="getPayment")
async def get_payment(payments: Till, identity: Caller, payment_id: FromPath[UUID]) -> Payment:
    """One payment."""
    return await payments.get(identity, payment_id)


@post("/{payment_id:uuid}/refunds", operation_id="refundPayment", status_code=202, guards=[requires(*STAFF)])
async def refund_payment(payments: Till, payment_id: FromPath[UUID], data: JSONBody[RefundWish]) -> Payment:
    """Have the whole payment given back; it is `refunding` until the processor has done it."""
    return await payments.refund(payment_id, data.reason)


@get("/processor", operation_id="getProcessor", guards=[requires(*STAFF)])
async def get_processor(payments: Till) -> Behaviour:
    """How the simulated processor behaves."""
    return await payments.behaviour()


@put("/processor", operation_id="setProcessor", guards=[requires("admin")])
async def set_processor(payments: Till, data: JSONBody[Behaviour]) -> Behaviour:
    """Set the simulated processor's latency, failure rate and outage."""
    return await payments.behave(data)


def api(runtime: Runtime) -> Sequence[ControllerRouterHandler]:
    """The handlers of `/api/v1/payments`."""
    payments = Payments(runtime)
    return [
        Router(
            "/api/v1/payments",
            route_handlers=[list_payments, get_payment, refund_payment, get_processor, set_processor],
            dependencies={"payments": Provide(lambda: payments, sync_to_thread=False)},
            tags=["payments"],
        )
    ]
