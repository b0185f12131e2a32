"""`/docs` and `/swagger/…`: the OpenAPI document of every service, and a small page that shows them."""

from importlib import resources
from typing import Any

import msgspec
from litestar import Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from opsplane.edge.upstreams import Upstreams
from opsplane.errors import Unavailable
from opsplane.web import PUBLIC

_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
_PAGES = resources.files("opsplane.edge") / "pages"


def documentation_handlers(upstreams: Upstreams) -> list[ControllerRouterHandler]:
    """The handlers of the documentation."""

    @get(
        "/swagger/links",
        summary="Where the OpenAPI document of each service is.",
        security=PUBLIC,
        sync_to_thread=False,
    )
    def links() -> dict[str, Any]:
        return {"services": [{"name": name, "openapi": f"/swagger/{name}"} for name in upstreams.names]}

    @get("/swagger/{service:str}", summary="The OpenAPI document of a service.", security=PUBLIC)
    async def swagger(service: FromPath[str]) -> dict[str, Any]:
        answer = await upstreams.get(service, "/schema/openapi.json")
        if answer.status_code != 200:
            raise Unavailable(
                f"{service} has no OpenAPI document at hand (it answered {answer.status_code})."
            )
        try:
            document = msgspec.json.decode(answer.content, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise Unavailable(f"{service} answered with something that is no OpenAPI document.") from error
        return {**document, "servers": [{"url": "/"}]}

    return [links, swagger, *(_page(*one) for one in _FILES)]


_FILES = (
    ("/docs", "docs.html", "text/html"),
    ("/docs/viewer.js", "viewer.js", "text/javascript"),
    ("/docs/viewer.css", "viewer.css", "text/css"),
)


def _page(path: str, file: str, media_type: str) -> ControllerRouterHandler:
    content = (_PAGES / file).read_bytes()
    headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}

    @get(path, include_in_schema=False, sync_to_thread=False)
    def page() -> Response[bytes]:
        return Response(content, media_type=f"{media_type}; charset=utf-8", headers=headers)

    return page
