"""The catalog service: products, prices and stock."""

from __future__ import annotations

from opsplane.commerce.catalog.api import api
from opsplane.commerce.catalog.handlers import adjust_stock
from opsplane.commerce.catalog.products import announce_import
from opsplane.commerce.catalog.rules import rules
from opsplane.files import Column, Entity
from opsplane.service import EntityBinding, Service

product = Entity(
    name="product",
    table="product",
    columns=(
        Column("sku", key=True, max_length=64, pattern=r"[^\s\x00-\x1f]+"),
        Column("name", required=True, max_length=300),
        Column("description", max_length=10_000, default=""),
        Column("category", required=True, max_length=100),
        Column("price", "decimal", required=True, min="0", max="99999999999", scale=3),
        Column("currency", required=True, currency=True),
        Column("stock", "int", min=0, max=1_000_000_000, default="0"),
        Column("active", "bool", default="true"),
    ),
    on_update={"version": "target.version + 1", "updated_at": "now()"},
)

service = Service(
    name="catalog",
    database="catalog",
    package="opsplane.commerce.catalog",
    api=api,
    resources=("products",),
    consumers=(adjust_stock,),
    entities=(EntityBinding(product, imported=announce_import),),
    rules=rules,
)
