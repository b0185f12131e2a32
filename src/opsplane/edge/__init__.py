"""What the gateway answers itself: information, the health of all services, their documentation."""

from __future__ import annotations

from collections.abc import Mapping

from litestar.types import ControllerRouterHandler

from opsplane.edge.documentation import documentation_handlers
from opsplane.edge.information import information_handlers
from opsplane.edge.services_health import services_health_handlers
from opsplane.edge.upstreams import Upstreams

__all__ = ["Upstreams", "edge_handlers"]


def edge_handlers(services: Mapping[str, str], *, version: str) -> list[ControllerRouterHandler]:
    """The handlers of the gateway role; `services` maps the name of each service to its base URL."""
    upstreams = Upstreams(services)
    return [
        *information_handlers(version),
        *services_health_handlers(upstreams),
        *documentation_handlers(upstreams),
    ]
