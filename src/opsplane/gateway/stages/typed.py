"""How Envoy spells values: typed messages, durations, fractions."""

from __future__ import annotations

from typing import Any

PREFIX = "type.googleapis.com/envoy."


def typed(kind: str, **fields: Any) -> dict[str, Any]:
    """A message of type `envoy.<kind>`."""
    return {"@type": PREFIX + kind, **fields}


def duration(seconds: float) -> str:
    """A duration as protobuf's JSON spells it."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def overwrite(name: str, value: str) -> dict[str, Any]:
    """A header set to `value`, whatever it was."""
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def matching(expression: str) -> dict[str, Any]:
    """A match of a whole text by a regular expression (RE2)."""
    return {"safe_regex": {"regex": expression}}
