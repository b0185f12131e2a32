"""What the gateway answers itself: problem+json (RFC 9457) whatever the reason."""

from __future__ import annotations

from typing import Any

from opsplane.gateway.stages.typed import overwrite

TITLES = {
    400: "Bad request",
    401: "Unauthenticated",
    403: "Forbidden",
    404: "Not found",
    408: "Request timeout",
    413: "Too large",
    429: "Too many requests",
    431: "Header fields too large",
    502: "Bad gateway",
    503: "Unavailable",
    504: "Gateway timeout",
}


def local_answers() -> dict[str, Any]:
    """The form of every answer that no service gave."""
    return {
        "mappers": [_mapper(status, title) for status, title in TITLES.items()],
        "body_format": _form("Error"),
    }


def _mapper(status: int, title: str) -> dict[str, Any]:
    value = {"default_value": status, "runtime_key": f"opsplane.answer.{status}"}
    mapper: dict[str, Any] = {
        "filter": {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}},
        "body_format_override": _form(title),
    }
    if status == 503:
        mapper["headers_to_add"] = [overwrite("retry-after", "1")]
    return mapper


def _form(title: str) -> dict[str, Any]:
    return {
        "content_type": "application/problem+json",
        "json_format": {
            "type": "about:blank",
            "title": title,
            "status": "%RESPONSE_CODE%",
            "detail": "%LOCAL_REPLY_BODY%",
            "requestId": "%REQ(X-REQUEST-ID)%",
        },
    }
