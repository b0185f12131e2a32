"""Trace context across events, as W3C `traceparent` writes it (https://www.w3.org/TR/trace-context/)."""

from __future__ import annotations

import re
import secrets

_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_ZERO = "0" * 32


def continued(traceparent: str | None) -> str:
    """A new span of the trace `traceparent` belongs to, or of a new trace when it is absent or unreadable."""
    match = _PARENT.fullmatch(traceparent or "")
    if match is None or match[1] == _ZERO:
        return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
    return f"00-{match[1]}-{secrets.token_hex(8)}-{match[3]}"
