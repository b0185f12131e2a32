"""Event schemas: documents compiled once, business rules beside them, and the registry that says which count."""

from __future__ import annotations

from opsplane.events.schemas.document import InvalidSchema, Schema, schema
from opsplane.events.schemas.rules import Rule, Rules, ascending, each, not_in_the_future, positive_when
from opsplane.events.schemas.schemas import Schemas
from opsplane.events.schemas.violations import (
    CLASSES,
    SchemaRejected,
    UnknownEventType,
    Violation,
    rejected,
)

__all__ = [
    "CLASSES",
    "InvalidSchema",
    "Rule",
    "Rules",
    "Schema",
    "SchemaRejected",
    "Schemas",
    "UnknownEventType",
    "Violation",
    "ascending",
    "each",
    "not_in_the_future",
    "positive_when",
    "rejected",
    "schema",
]
