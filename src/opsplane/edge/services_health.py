"""`/api/services/health`: every service asked at once, each with its own deadline, partial answers included."""

import asyncio
import time
from typing import Any

from litestar import Response, get
from litestar.types import ControllerRouterHandler

from opsplane.edge.upstreams import Upstreams
from opsplane.errors import OpsplaneError
from opsplane.web import PUBLIC


def services_health_handlers(upstreams: Upstreams) -> list[ControllerRouterHandler]:
    """The handler of the aggregated health."""

    @get("/api/services/health", summary="The health of every service.", security=PUBLIC)
    async def services_health() -> Response[dict[str, Any]]:
        names = upstreams.names
        reports = await asyncio.gather(*(_ask(upstreams, name) for name in names))
        well = all(report["status"] == "ok" for report in reports)
        body = {"status": "ok" if well else "degraded", "services": dict(zip(names, reports, strict=True))}
        return Response(body, status_code=200 if well else 503)

    return [services_health]


async def _ask(upstreams: Upstreams, name: str) -> dict[str, Any]:
    began = time.perf_counter()
    try:
        answer = await upstreams.get(name, "/health/ready")
    except OpsplaneError:
        return {"status": "unreachable", "milliseconds": _since(began)}
    return {"status": "ok" if answer.status_code == 200 else "unavailable", "milliseconds": _since(began)}


def _since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)
