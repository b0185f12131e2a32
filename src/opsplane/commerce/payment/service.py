"""The payment service: charges, and gives back."""

from __future__ import annotations

from opsplane.commerce.payment.api import api
from opsplane.commerce.payment.handlers import consumers
from opsplane.files import Column, Entity
from opsplane.service import EntityBinding, Service

payment = Entity(
    name="payment",
    table="payment",
    columns=(
        Column("id", "uuid", key=True),
        Column("order_id", "uuid"),
        Column("customer_id"),
        Column("status"),
        Column("currency"),
        Column("amount", "decimal"),
        Column("reason"),
        Column("created_at", "timestamp"),
        Column("updated_at", "timestamp"),
    ),
    order_by=("created_at", "id"),
)

service = Service(
    name="payment",
    database="payment",
    package="opsplane.commerce.payment",
    api=api,
    resources=("payments",),
    consumers=consumers,
    entities=(EntityBinding(payment, importable=False),),
)
