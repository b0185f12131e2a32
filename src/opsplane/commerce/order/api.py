"""The order service's HTTP API. (Annotations are read at run time.)"""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody
from litestar.types import ControllerRouterHandler

from opsplane.commerce.order.model import Cancellation, NewOrder, NewStatus, Order, Status
from opsplane.commerce.order.orders import STAFF, Orders
from opsplane.service import Runtime
from opsplane.web import Caller, Page, PageNumber, PageSize, paged, requires

Book = NamedDependency[Orders]
IdempotencyKey = Annotated[
    str | None, HeaderParameter(name="Idempotency-Key", min_length=1, max_length=200, required=False)
]


@post("/", operation_id="placeOrder")
async def place_order(
    orders: Book, identity: Caller, data: JSONBody[NewOrder], idempotency_key: IdempotencyKey = None
) -> Response[Order]:
    """Place an order at today's prices; it is PENDING until it is paid.

    With an Idempotency-Key the same request gets the same answer for a day (header `Idempotency-Replayed: true`);
    another body with that key is 422.
    """
    order, replayed = await orders.place(identity, data, idempotency_key)
    return Response(order, status_code=201, headers={"Idempotency-Replayed": "true"} if replayed else {})


@get("/", operation_id="listOrders")
async def list_orders(
    orders: Book,
    identity: Caller,
    status: FromQuery[Status | None] = None,
    page: PageNumber = 1,
    page_size: PageSize = 50,
) -> dict[str, Any]:
    """A page of one's own orders (of all orders, for staff), newest first."""
    wanted = Page(page, page_size)
    return paged(*await orders.page(identity, status, wanted), wanted)


@get("/{order_id:uuid}", operation_id="getOrder")
async def get_order(orders: Book, identity: Caller, order_id: FromPath[UUID]) -> Order:
    """One order with what it went through."""
    return await orders.get(identity, order_id)


@post("/{order_id:uuid}/cancel", operation_id="cancelOrder", status_code=200)
async def cancel_order(
    orders: Book, identity: Caller, order_id: FromPath[UUID], data: JSONBody[Cancellation | None] = None
) -> Order:
    """Cancel an order that is not on its way yet; what was paid is given back."""
    return await orders.cancel(identity, order_id, (data or Cancellation()).reason)


@post("/{order_id:uuid}/status", operation_id="advanceOrder", status_code=200, guards=[requires(*STAFF)])
async def advance_order(orders: Book, order_id: FromPath[UUID], data: JSONBody[NewStatus]) -> Order:
    """Move an order on: CONFIRMED → PROCESSING → SHIPPED → DELIVERED."""
    return await orders.advance(order_id, data.status)


def api(runtime: Runtime) -> Sequence[ControllerRouterHandler]:
    """The handlers of `/api/v1/orders`."""
    orders = Orders(runtime)
    return [
        Router(
            "/api/v1/orders",
            route_handlers=[place_order, list_orders, get_order, cancel_order, advance_order],
            dependencies={"orders": Provide(lambda: orders, sync_to_thread=False)},
            tags=["orders"],
        )
    ]
