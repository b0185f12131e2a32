"""Calls from other origins' pages: preflights are answered here, answers are marked readable."""

from __future__ import annotations

from typing import Any

from opsplane.gateway.document import Cors
from opsplane.gateway.stages.typed import typed

CORS = "envoy.filters.http.cors"
NOWHERE = "nowhere"


def cors_of(cors: Cors) -> dict[str, Any]:
    """What browsers on the named origins may do."""
    return typed(
        "extensions.filters.http.cors.v3.CorsPolicy",
        allow_origin_string_match=[{"exact": origin} for origin in cors.origins],
        allow_methods=", ".join(cors.methods),
        allow_headers=", ".join(cors.headers),
        expose_headers="x-request-id, retry-after, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset",
        max_age=str(int(cors.max_age)),
        allow_credentials=cors.credentials,
        forward_not_matching_preflights=False,
    )


def preflight_route() -> dict[str, Any]:
    """Gives preflights a route of their own: they carry no token, and none gets past the filter.

    It leads to a cluster that is empty, because the filter passes over routes that answer directly.
    """
    headers = [
        {"name": ":method", "string_match": {"exact": "OPTIONS"}},
        {"name": "origin", "present_match": True},
        {"name": "access-control-request-method", "present_match": True},
    ]
    return {"name": "preflight", "match": {"prefix": "/", "headers": headers}, "route": {"cluster": NOWHERE}}
