"""Errors as problem+json (RFC 9457): what happened, where, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from msgspec import UNSET, UnsetType

from opsplane.errors import OpsplaneError
from opsplane.telemetry import get_logger

log = get_logger("web")
PROBLEM_TYPE = "application/problem+json"
TITLES = {
    400: "Bad request", 401: "Unauthenticated", 402: "Payment required", 403: "Forbidden", 404: "Not found",
    405: "Method not allowed", 409: "Conflict", 413: "Too large", 416: "Range not satisfiable", 422: "Unprocessable",
    429: "Too many requests", 500: "Internal error", 501: "Not implemented", 503: "Unavailable",
    507: "Insufficient storage",
}  # fmt: skip
HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}
_PLACES = {name: {"type": "string"} for name in ("pointer", "keyword", "message", "source")}
Violation = Annotated[dict[str, Any], msgspec.Meta(extra_json_schema={"properties": _PLACES})]


class Problem(msgspec.Struct, kw_only=True, rename="camel"):
    """What was wrong (RFC 9457): `error` names it, `remedy` says what to do, `violations` where each thing is wrong."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    error: str | UnsetType = UNSET
    remedy: str | UnsetType = UNSET
    violations: list[Violation] | UnsetType = UNSET
    request_id: str | UnsetType = UNSET


def problem_response(
    status: int,
    detail: str,
    *,
    error: str | None = None,
    remedy: str | None = None,
    violations: list[dict[str, Any]] | None = None,
    request_id: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response[bytes]:
    """A problem+json answer; members that are None are left out."""
    problem = Problem(
        title=TITLES.get(status, "Error"),
        status=status,
        detail=detail,
        error=error or UNSET,
        remedy=remedy or UNSET,
        violations=violations or UNSET,
        request_id=request_id or UNSET,
    )
    return Response(
        msgspec.json.encode(problem, enc_hook=str),
        status_code=status,
        media_type=PROBLEM_TYPE,
        headers={**HEADERS.get(status, {}), **(headers or {})},
    )


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """For `responses=` of a handler: the statuses of errors that the document cannot know by itself."""
    return {status: ResponseSpec(None, description=TITLES[status]) for status in statuses}


def own_problem(_: Request[Any, Any, Any], error: OpsplaneError) -> Response[bytes]:
    """The answer to an error raised on purpose."""
    if error.status >= 500:
        log.warning("web.failed", error=type(error).__name__, detail=error.message)
    return problem_response(
        error.status,
        error.message,
        error=type(error).__name__,
        remedy=error.remedy,
        violations=getattr(error, "violations", None),
    )


def http_problem(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """The answer to an error of the framework: unknown path, wrong method, body that does not fit."""
    violations = None
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        violations = [_violation(item, request) for item in error.extra]
    return problem_response(error.status_code, error.detail, violations=violations, headers=error.headers)


def unexpected_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The answer to a bug: logged with its traceback, told to the caller without it."""
    log.error("web.crashed", path=request.url.path, error=type(error).__name__, exc_info=error)
    return problem_response(
        500, "Something went wrong here; it has been logged.", request_id=request.headers.get("x-request-id")
    )


def _violation(item: Any, request: Request[Any, Any, Any]) -> dict[str, Any]:
    if not isinstance(item, dict):
        return {"message": str(item)}
    key, source = str(item.get("key", "")), str(item.get("source", "body"))
    if source != "body":
        key = _sent_as(key, request)
    pointer = "/" + key.replace(".", "/")
    return {"pointer": pointer, "message": item.get("message", ""), "source": source}


def _sent_as(name: str, request: Request[Any, Any, Any]) -> str:
    """What the caller calls the handler's parameter `name`."""
    parameter = request.route_handler.parsed_fn_signature.parameters.get(name)
    definition = parameter.kwarg_definition if parameter is not None else None
    return getattr(definition, "name", None) or name
