"""The search service: finds products by what others tell of them."""

from __future__ import annotations

from opsplane.commerce.search.api import api
from opsplane.commerce.search.handlers import consumers
from opsplane.service import Service

service = Service(
    name="search",
    database="search",
    package="opsplane.commerce.search",
    api=api,
    resources=("search",),
    consumers=consumers,
)
