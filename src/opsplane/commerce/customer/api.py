"""The customer service's HTTP API. (Annotations are read at run time.)"""

from collections.abc import Sequence
from typing import Any

from litestar import Router, get, patch, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, JSONBody
from litestar.types import ControllerRouterHandler

from opsplane.commerce.customer.customers import Customers
from opsplane.commerce.customer.model import Customer, CustomerChange, Login, Refresh, Session, SignUp
from opsplane.commerce.customer.sessions import Sessions
from opsplane.service import Runtime
from opsplane.web import PUBLIC, Caller, Page, PageNumber, PageSize, paged, requires

Register = NamedDependency[Customers]
Desk = NamedDependency[Sessions]


@post("/signup", operation_id="signUp", security=PUBLIC)
async def sign_up(customers: Register, sessions: Desk, data: JSONBody[SignUp]) -> Session:
    """Become a customer and be signed in; 409 when the address is taken."""
    return await sessions.open(await customers.sign_up(data), "web")


@post("/login", operation_id="logIn", status_code=200, security=PUBLIC)
async def log_in(customers: Register, sessions: Desk, data: JSONBody[Login]) -> Session:
    """Sign in; 401 when address and password do not belong together."""
    return await sessions.open(await customers.log_in(data), "web")


@post("/refresh", operation_id="refreshSession", status_code=200, security=PUBLIC)
async def refresh(sessions: Desk, data: JSONBody[Refresh]) -> Session:
    """Continue a session with new tokens; a refresh token used twice ends it."""
    return await sessions.refresh(data.refresh_token)


@post("/logout", operation_id="logOut", status_code=204)
async def log_out(sessions: Desk, identity: Caller, data: JSONBody[Refresh]) -> None:  # noqa: ARG001  signed in
    """End the session; its access token runs out within the hour."""
    await sessions.end(data.refresh_token)


@get("/me", operation_id="getMe")
async def get_me(customers: Register, identity: Caller) -> Customer:
    """Oneself."""
    return await customers.get(identity)


@patch("/me", operation_id="changeMe")
async def change_me(customers: Register, identity: Caller, data: JSONBody[CustomerChange]) -> Customer:
    """Change one's name or phone number."""
    return await customers.change(identity, data)


@get("/", operation_id="listCustomers", guards=[requires("operations_staff")])
async def list_customers(
    customers: Register,
    search: FromQuery[str | None] = None,
    page: PageNumber = 1,
    page_size: PageSize = 50,
) -> dict[str, Any]:
    """A page of customers, newest first; those whose name or address has the text, where one is given."""
    wanted = Page(page, page_size)
    return paged(*await customers.page(search, wanted), wanted)


def api(runtime: Runtime) -> Sequence[ControllerRouterHandler]:
    """The handlers of `/api/v1/auth` and `/api/v1/customers`."""
    customers, sessions = Customers(runtime), Sessions(runtime)
    dependencies = {
        "customers": Provide(lambda: customers, sync_to_thread=False),
        "sessions": Provide(lambda: sessions, sync_to_thread=False),
    }
    auth = [sign_up, log_in, refresh, log_out]
    people = [get_me, change_me, list_customers]
    return [
        Router("/api/v1/auth", route_handlers=auth, dependencies=dependencies, tags=["auth"]),
        Router("/api/v1/customers", route_handlers=people, dependencies=dependencies, tags=["customers"]),
    ]
