"""What happens to customers: each change and its event in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from opsplane.commerce.customer import model, repository
from opsplane.commerce.customer.model import Customer, CustomerChange, Login, SignUp
from opsplane.commerce.customer.passwords import Passwords
from opsplane.commerce.publishing import publishes
from opsplane.database import Connection
from opsplane.errors import Unauthenticated
from opsplane.service import Runtime
from opsplane.web import Identity, Page

ROWS_PER_EVENT = 1000


class LoginRefused(Unauthenticated):
    """Address and password do not belong together."""


class Customers:
    """The customers and their passwords."""

    def __init__(self, runtime: Runtime) -> None:
        self._pool = runtime.pool
        self._publish = publishes(runtime.outbox)
        self._passwords = Passwords()

    async def sign_up(self, new: SignUp) -> Customer:
        """The new customer; raises `EmailTaken`."""
        password_hash = await self._passwords.hash(new.password)
        async with self._pool.transaction() as tx:
            customer = await repository.insert_customer(tx, new, password_hash)
            await self._tell(tx, model.CREATED, customer)
        return customer

    async def log_in(self, login: Login) -> Customer:
        """The customer; raises `LoginRefused` and does not say whether there is one with this address."""
        customer, kept = await repository.get_credentials(self._pool, login.email)
        if not await self._passwords.check(kept, login.password) or customer is None:
            raise LoginRefused("Address and password do not belong together.")
        if kept is not None and self._passwords.outdated(kept):
            fresh = await self._passwords.hash(login.password)
            async with self._pool.transaction() as tx:
                await repository.update_hash(tx, customer.id, fresh)
        return customer

    async def get(self, caller: Identity) -> Customer:
        """The caller as a customer; raises `NoSuchCustomer`."""
        async with self._pool.connection() as tx:
            return await repository.get_customer(tx, _own_id(caller))

    async def change(self, caller: Identity, change: CustomerChange) -> Customer:
        """The caller as changed; raises `NoSuchCustomer`."""
        async with self._pool.transaction() as tx:
            customer = await repository.update_customer(tx, _own_id(caller), change)
            await self._tell(tx, model.UPDATED, customer)
        return customer

    async def page(self, text: str | None, page: Page) -> tuple[list[Customer], int]:
        """A page of customers, newest first, and how many there are."""
        return await repository.list_customers(self._pool, text, page)

    async def _tell(self, tx: Connection, topic: str, customer: Customer) -> None:
        told = model.CustomerTold(customer.id, customer.email, customer.name, customer.version)
        await self._publish(tx, topic, told, subject=str(customer.id))


def _own_id(caller: Identity) -> UUID:
    try:
        return UUID(caller.sub)
    except ValueError:
        raise repository.NoSuchCustomer("The token belongs to nobody who signed up here.") from None


async def announce_import(runtime: Runtime, tx: Connection, keys: Sequence[Any]) -> None:
    """Tell which customers one chunk of an import has merged."""
    publish = publishes(runtime.outbox)
    emails = sorted({key if isinstance(key, str) else key[0] for key in keys})
    for first in range(0, len(emails), ROWS_PER_EVENT):
        customers = await repository.imported_customers(tx, emails[first : first + ROWS_PER_EVENT])
        if customers:
            imported = model.CustomersImported(len(customers), customers)
            await publish(tx, model.BULK_IMPORTED, imported)
