"""The HTTP application of a role: its handlers plus what every role answers alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Litestar, Response, get, head
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ControllerRouterHandler

from opsplane.errors import OpsplaneError
from opsplane.telemetry import Health, render_metrics
from opsplane.web.document import Document
from opsplane.web.identity import Verifier, provide_identity
from opsplane.web.problems import http_problem, own_problem, unexpected_problem
from opsplane.web.requests import JsonRequest, before_handler


def create_app(
    name: str,
    handlers: Sequence[ControllerRouterHandler],
    *,
    verifier: Verifier,
    health: Health,
    version: str = "1",
    body_limit: int = 10 * 1024 * 1024,
) -> Litestar:
    """The application of role `name`: `handlers`, health, metrics, OpenAPI 3.1 at `/schema/openapi.json`.

    Handlers may take `identity: Identity`, the verified caller.
    """
    bearer = SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")
    return Litestar(
        [*handlers, *_common(name, health)],
        dependencies={"identity": Provide(provide_identity)},
        exception_handlers={
            OpsplaneError: own_problem,
            HTTPException: http_problem,
            Exception: unexpected_problem,
        },
        openapi_config=OpenAPIConfig(
            title=f"opsplane {name}",
            version=version,
            path="/schema",
            render_plugins=[Document()],
            components=Components(security_schemes={"bearer": bearer}),
            security=[{"bearer": []}],
            use_handler_docstrings=True,
        ),
        before_request=before_handler,
        request_class=JsonRequest,
        request_max_body_size=body_limit,
        logging_config=None,
        state=State({"verifier": verifier}),
    )


def _common(name: str, health: Health) -> list[ControllerRouterHandler]:
    @get("/health/live", include_in_schema=False, sync_to_thread=False)
    def live() -> dict[str, str]:
        return {"status": "ok", "service": name}

    async def readiness() -> Response[dict[str, Any]]:
        checks = await health.report()
        well = all(verdict == "ok" for verdict in checks.values())
        body = {"status": "ok" if well else "unavailable", "service": name, "checks": checks}
        return Response(body, status_code=200 if well else 503)

    @get(["/health", "/health/ready"], include_in_schema=False)
    async def ready() -> Response[dict[str, Any]]:
        return await readiness()

    @head(["/health", "/health/ready", "/health/live"], include_in_schema=False)
    async def head_ready() -> Response[None]:
        return Response(None, status_code=(await readiness()).status_code)

    @get("/metrics", include_in_schema=False, sync_to_thread=False)
    def metrics() -> Response[bytes]:
        return Response(render_metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return [live, ready, head_ready, metrics]
