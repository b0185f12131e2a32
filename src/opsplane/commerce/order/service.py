"""The order service: orders and the saga they go through."""

from __future__ import annotations

from opsplane.commerce.order.api import api
from opsplane.commerce.order.handlers import consumers
from opsplane.commerce.order.invoices import render
from opsplane.files import Column, Entity
from opsplane.service import EntityBinding, Service

order = Entity(
    name="order",
    table="customer_order",
    columns=(
        Column("id", "uuid", key=True),
        Column("customer_id"),
        Column("status"),
        Column("reason"),
        Column("currency"),
        Column("total", "decimal"),
        Column("created_at", "timestamp"),
        Column("updated_at", "timestamp"),
    ),
    order_by=("created_at", "id"),
)

service = Service(
    name="order",
    database="order",
    package="opsplane.commerce.order",
    api=api,
    resources=("orders",),
    consumers=consumers,
    entities=(EntityBinding(order, importable=False),),
    tasks=(render,),
)
