"""`/`: what this is and where to go on."""

from typing import Any

from litestar import get
from litestar.types import ControllerRouterHandler

from opsplane.web import PUBLIC


def information_handlers(version: str) -> list[ControllerRouterHandler]:
    """The handler of `/`."""

    @get("/", summary="What this platform is, and where to go on.", security=PUBLIC, sync_to_thread=False)
    def information() -> dict[str, Any]:
        return {
            "name": "opsplane",
            "version": version,
            "links": {
                "documentation": "/docs",
                "openapi": "/swagger/links",
                "health": "/health",
                "services": "/api/services/health",
                "api": "/api/v1",
            },
        }

    return [information]
