"""How many dead letters a topic may have before somebody should look."""

from __future__ import annotations

from fnmatch import fnmatchcase

DEFAULT = 10
PATTERNS: dict[str, int] = {
    "catalog.product.*": 10,
    "warehouse.inventory.*": 50,
    "catalog.cms.*": 5,
}


def threshold(topic: str, patterns: dict[str, int] | None = None) -> int:
    """The threshold of the longest pattern that fits the topic, else the default of 10."""
    known = PATTERNS if patterns is None else patterns
    fitting = [pattern for pattern in known if fnmatchcase(topic, pattern)]
    return known[max(fitting, key=len)] if fitting else DEFAULT
