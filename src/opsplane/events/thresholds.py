"""How many dead letters a topic may have before somebody should look."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

DEFAULT = 10
PATTERNS: Mapping[str, int] = {
    "catalog.product.*": 10,
    "warehouse.inventory.*": 50,
    "catalog.cms.*": 5,
}


def threshold(topic: str, configured: Mapping[str, int] | None = None) -> int:
    """The threshold of the longest pattern that fits the topic, a configured one before a default one; else 10."""
    known = {**PATTERNS, **(configured or {})}
    fitting = [pattern for pattern in known if fnmatchcase(topic, pattern)]
    return known[max(fitting, key=len)] if fitting else DEFAULT
