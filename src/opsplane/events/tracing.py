"""Trace context across events, as W3C `traceparent` writes it (https://www.w3.org/TR/trace-context/)."""

from __future__ import annotations

import hashlib
import re
import secrets

_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_ZERO = "0" * 32


def trace_of(traceparent: str | None, source: str, event_id: str) -> str:
    """The 32 digits of the trace an event belongs to: its `traceparent`'s, else one its source and id determine.

    So an event that carries no trace context is still found from what it caused, and costs its publisher nothing.
    """
    match = _PARENT.fullmatch(traceparent) if traceparent else None
    if match is None or match[1] == _ZERO:
        return hashlib.blake2b(f"{source} {event_id}".encode(), digest_size=16).hexdigest()
    return match[1]


def continued(traceparent: str | None, source: str, event_id: str) -> str:
    """A new span of the trace an event belongs to."""
    match = _PARENT.fullmatch(traceparent) if traceparent else None
    flags = match[3] if match is not None else "01"
    return f"00-{trace_of(traceparent, source, event_id)}-{secrets.token_hex(8)}-{flags}"


def begun() -> str:
    """The first span of a new trace."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
