"""What the customer service speaks of. (Annotations are read at run time.)"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

CREATED = "customers.customer.created"
UPDATED = "customers.customer.updated"
BULK_IMPORTED = "customers.customer.bulk_imported"

Email = Annotated[str, Meta(min_length=3, max_length=320, pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+$")]
Password = Annotated[str, Meta(min_length=8, max_length=200)]
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S")]
Phone = Annotated[str, Meta(max_length=40, pattern=r"^\+?[0-9 ()./-]+$")]


class SignUp(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Who wants to be a customer."""

    email: Email
    password: Password
    name: Name
    phone: Phone | None = None


class Login(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Who says to be a customer."""

    email: Annotated[str, Meta(max_length=320)]
    password: Annotated[str, Meta(max_length=200)]


class Refresh(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The refresh token of the last answer."""

    refresh_token: Annotated[str, Meta(min_length=1, max_length=200)]


class CustomerChange(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What a customer tells of themselves from now on; what is left out stays."""

    name: Name | None = None
    phone: Phone | None = None


class Customer(msgspec.Struct, frozen=True, rename="camel"):
    """A customer, without anything secret."""

    id: UUID
    email: str
    name: str
    phone: str | None
    roles: list[str]
    version: int
    created_at: datetime
    updated_at: datetime


class Session(msgspec.Struct, frozen=True, rename="camel"):
    """What a client holds after signing in: `accessToken` for calls, `refreshToken` for the next session, once."""

    access_token: str
    refresh_token: str
    expires_in: int
    customer: Customer
    token_type: str = "Bearer"  # noqa: S105  its type, not a token


class CustomerTold(msgspec.Struct, frozen=True, rename="camel"):
    """What events tell of a customer."""

    id: UUID
    email: str
    name: str
    version: int


class ImportedCustomer(msgspec.Struct, frozen=True, rename="camel"):
    """A customer as an import left it; personal data stays here."""

    id: UUID
    version: int


class CustomersImported(msgspec.Struct, frozen=True, rename="camel"):
    """Customers an import has added or changed; one event of several when a chunk has many."""

    count: int
    customers: list[ImportedCustomer]
