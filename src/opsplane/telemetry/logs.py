"""JSON log lines: one event per operation, named `room.verb`, values as fields."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

_NOT_SHOWN = re.compile(
    "[\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff\ud800-\udfff]"
)
_SECRET_NAMES = frozenset(
    {
        "password",
        "secret",
        "token",
        "authorization",
        "access_token",
        "refresh_token",
        "signature",
        "dsn",
        "signing_key",
    }
)


def configure_logging(process: str, stream: TextIO | None = None, level: str = "info") -> None:
    """Send every log event of this process, those of libraries included, to `stream` as JSON lines."""
    target = stream or sys.stderr
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _named(process),
            _redacted,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
            _one_line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    bridge = _Bridge()
    root = logging.getLogger()
    root.handlers[:] = [bridge]
    root.setLevel(logging.WARNING)


def get_logger(room: str) -> Any:
    """A logger whose events carry the room: `log.info("tasks.claimed", count=3)`."""
    return structlog.get_logger(room=room)


def _one_line(_: Any, __: str, line: Any) -> str:
    """The JSON line with everything escaped that ends lines somewhere, moves a cursor, hides or cannot be encoded."""
    return _NOT_SHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", str(line))


def _named(process: str) -> structlog.types.Processor:
    def add(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"] = process
        return event

    return add


def _redacted(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in event:
        if name.lower() in _SECRET_NAMES:
            event[name] = "…"
    return event


class _Bridge(logging.Handler):
    """Log records of libraries as events `library.logged`."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(room="library")
        method = getattr(log, record.levelname.lower(), log.warning)
        method("library.logged", logger=record.name, text=record.getMessage(), exc_info=record.exc_info)
