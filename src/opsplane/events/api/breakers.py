"""Breakers over HTTP. (Annotations are read at run time.)"""

from typing import Any

from litestar import get, post
from litestar.params import FromPath, FromQuery
from litestar.types import ControllerRouterHandler

from opsplane.events import actions
from opsplane.events.api.acting import act
from opsplane.events.backbone import Backbone
from opsplane.events.breakers.overview import list_breakers
from opsplane.web import Caller


def breaker_handlers(backbone: Backbone) -> list[ControllerRouterHandler]:
    """The routes of breakers."""

    @get("/breakers", operation_id="listBreakers")
    async def show_all() -> dict[str, Any]:
        """Every breaker with its state."""
        return {"data": await list_breakers(backbone.broker, backbone.pool)}

    @post("/breakers/{name:str}/open", status_code=200, operation_id="openBreaker")
    async def hold_open(name: FromPath[str], identity: Caller, reason: FromQuery[str] = "") -> dict[str, Any]:
        """Hold a breaker open until it is closed; its group reads nothing meanwhile."""
        wanted = actions.BreakerNames(names=(name,), because=reason)
        return {"data": await act(backbone, actions.OPEN_BREAKER, wanted, identity, reason)}

    @post("/breakers/{name:str}/close", status_code=200, operation_id="closeBreaker")
    async def close(name: FromPath[str], identity: Caller, reason: FromQuery[str] = "") -> dict[str, Any]:
        """Close a breaker, whoever opened it."""
        wanted = actions.BreakerNames(names=(name,), because=reason)
        return {"data": await act(backbone, actions.CLOSE_BREAKER, wanted, identity, reason)}

    @post("/breakers/{name:str}/reset", status_code=200, operation_id="resetBreaker")
    async def reset(name: FromPath[str], identity: Caller, reason: FromQuery[str] = "") -> dict[str, Any]:
        """Close a breaker and forget that it was ever open."""
        wanted = actions.BreakerNames(names=(name,), because=reason)
        return {"data": await act(backbone, actions.RESET_BREAKER, wanted, identity, reason)}

    return [show_all, hold_open, close, reset]
