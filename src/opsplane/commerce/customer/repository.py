"""The customer service's tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg.rows import DictRow

from opsplane.commerce.customer.model import Customer, CustomerChange, ImportedCustomer, SignUp
from opsplane.commerce.statements import Statements
from opsplane.database import Connection, Pool
from opsplane.errors import Conflict, NotFound
from opsplane.web import Page

_statements = Statements(__package__)


class NoSuchCustomer(NotFound):
    """No customer has this id."""


class EmailTaken(Conflict):
    """Another customer has this address; nothing was added."""


async def insert_customer(tx: Connection, new: SignUp, password_hash: str) -> Customer:
    """The new customer; raises `EmailTaken`."""
    row = await _statements.one(
        tx,
        "insert_customer",
        email=new.email.lower(),
        name=new.name,
        phone=new.phone,
        password_hash=password_hash,
    )
    if row is None:
        raise EmailTaken("There is a customer with this address already.", remedy="Sign in instead.")
    return Customer(**row)


async def get_credentials(pool: Pool, email: str) -> tuple[Customer | None, str | None]:
    """The customer with this address and what is kept of the password, where there is one."""
    async with pool.connection() as tx:
        row = await _statements.one(tx, "get_credentials", email=email.lower())
    if row is None:
        return None, None
    kept = row.pop("password_hash")
    return Customer(**row), kept


async def get_customer(tx: Connection, id: UUID) -> Customer:  # noqa: A002
    """The customer; raises `NoSuchCustomer`."""
    return _customer(await _statements.one(tx, "get_customer", id=id))


async def update_customer(tx: Connection, id: UUID, change: CustomerChange) -> Customer:  # noqa: A002
    """The customer as changed; raises `NoSuchCustomer`."""
    row = await _statements.one(tx, "update_customer", id=id, name=change.name, phone=change.phone)
    return _customer(row)


async def update_hash(tx: Connection, id: UUID, password_hash: str) -> None:  # noqa: A002
    """Keep the password under another hash."""
    await _statements.run(tx, "update_hash", id=id, password_hash=password_hash)


async def list_customers(pool: Pool, text: str | None, page: Page) -> tuple[list[Customer], int]:
    """A page of customers whose name or address has the text, newest first, and how many there are."""
    async with pool.connection() as tx:
        rows = await _statements.all(tx, "list_customers", text=text, limit=page.size, offset=page.offset)
        counted = rows[:1] or await _statements.all(tx, "count_customers", text=text)
    total = counted[0]["total"]
    return [Customer(**{name: row[name] for name in Customer.__struct_fields__}) for row in rows], total


async def imported_customers(tx: Connection, emails: Sequence[str]) -> list[ImportedCustomer]:
    """The customers with these addresses."""
    rows = await _statements.all(tx, "select_imported", emails=list(emails))
    return [ImportedCustomer(row["id"], row["version"]) for row in rows]


async def insert_token(
    tx: Connection, digest: bytes, *, family: UUID, customer: UUID, client_type: str, expires_at: datetime
) -> None:
    """Keep the hash of a refresh token."""
    await _statements.run(
        tx,
        "insert_token",
        hash=digest,
        family=family,
        customer_id=customer,
        client_type=client_type,
        expires_at=expires_at,
    )


async def lock_token(tx: Connection, digest: bytes) -> DictRow | None:
    """The refresh token with this hash, kept from being used twice at once."""
    return await _statements.one(tx, "lock_token", hash=digest)


async def use_token(tx: Connection, digest: bytes, now: datetime) -> None:
    """Note that a refresh token was used."""
    await _statements.run(tx, "use_token", hash=digest, now=now)


async def revoke_family(tx: Connection, family: UUID) -> None:
    """End a session."""
    await _statements.run(tx, "revoke_family", family=family)


async def forget_tokens(tx: Connection, now: datetime) -> None:
    """Forget some expired refresh tokens."""
    await _statements.run(tx, "forget_tokens", now=now)


def _customer(row: DictRow | None) -> Customer:
    if row is None:
        raise NoSuchCustomer("There is no such customer.")
    return Customer(**row)
