"""Errors as problem+json (RFC 9457): what happened, where, and what to do."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from opsplane.errors import OpsplaneError
from opsplane.telemetry import get_logger

log = get_logger("web")
_TITLES = {
    400: "Bad request", 401: "Unauthenticated", 403: "Forbidden", 404: "Not found", 405: "Method not allowed",
    409: "Conflict", 413: "Too large", 422: "Unprocessable", 429: "Too many requests",
    500: "Internal error", 503: "Unavailable", 507: "Insufficient storage",
}  # fmt: skip


def problem_response(status: int, detail: str, **members: Any) -> Response[bytes]:
    """A problem+json answer; members that are None are left out."""
    body = {"type": "about:blank", "title": _TITLES.get(status, "Error"), "status": status, "detail": detail}
    body.update({name: value for name, value in members.items() if value is not None})
    headers = (
        {"WWW-Authenticate": "Bearer"} if status == 401 else {"Retry-After": "1"} if status == 503 else {}
    )
    return Response(
        msgspec.json.encode(body, enc_hook=str),
        status_code=status,
        media_type="application/problem+json",
        headers=headers,
    )


def own_problem(_: Request[Any, Any, Any], error: OpsplaneError) -> Response[bytes]:
    """The answer to an error raised on purpose."""
    violations = getattr(error, "violations", None) or None
    if error.status >= 500:
        log.warning("web.failed", error=type(error).__name__, detail=error.message)
    return problem_response(
        error.status, error.message, error=type(error).__name__, remedy=error.remedy, violations=violations
    )


def http_problem(_: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """The answer to an error of the framework: unknown path, wrong method, body that does not fit."""
    violations = None
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        violations = [_violation(item) for item in error.extra]
    return problem_response(error.status_code, error.detail, violations=violations)


def unexpected_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The answer to a bug: logged with its traceback, told to the caller without it."""
    log.error("web.crashed", path=request.url.path, error=type(error).__name__, exc_info=error)
    return problem_response(
        500, "Something went wrong here; it has been logged.", requestId=request.headers.get("x-request-id")
    )


def _violation(item: Any) -> dict[str, Any]:
    if not isinstance(item, dict):
        return {"message": str(item)}
    pointer = "/" + str(item.get("key", "")).replace(".", "/")
    return {"pointer": pointer, "message": item.get("message", ""), "source": str(item.get("source", "body"))}
