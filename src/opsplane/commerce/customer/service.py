"""The customer service: signs customers up and in."""

from __future__ import annotations

from opsplane.commerce.customer.api import api
from opsplane.commerce.customer.customers import announce_import
from opsplane.files import Column, Entity
from opsplane.service import EntityBinding, Service

customer = Entity(
    name="customer",
    table="customer",
    columns=(
        Column("email", key=True, max_length=320, pattern=r"[^@\sA-Z]+@[^@\sA-Z]+"),
        Column("name", required=True, max_length=200),
        Column("phone", max_length=40, pattern=r"\+?[0-9 ()./-]+"),
    ),
    on_update={"version": "target.version + 1", "updated_at": "now()"},
)

service = Service(
    name="customer",
    database="customer",
    package="opsplane.commerce.customer",
    api=api,
    resources=("auth", "customers"),
    entities=(EntityBinding(customer, imported=announce_import),),
)
