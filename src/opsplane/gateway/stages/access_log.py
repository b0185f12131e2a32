"""The access log: one JSON line a request, without query strings, which carry signatures."""

from __future__ import annotations

from typing import Any

from opsplane.gateway.stages.typed import typed

FIELDS = {
    "time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ:ORIG_OR_PATH)%",
    "status": "%RESPONSE_CODE%",
    "detail": "%RESPONSE_CODE_DETAILS%",
    "milliseconds": "%DURATION%",
    "route": "%ROUTE_NAME%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "user": "%REQ(X-USER-ID)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
}


def access_log(path: str) -> dict[str, Any]:
    """The log written to `path`."""
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": typed(
            "extensions.access_loggers.file.v3.FileAccessLog",
            path=path,
            log_format={"json_format": dict(FIELDS)},
        ),
    }
