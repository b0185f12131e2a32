"""Event schemas: JSON Schema files compiled once, and business rules beside them."""

from __future__ import annotations

from opsplane.events.schemas.schemas import (
    Schema,
    SchemaRejected,
    Schemas,
    UnknownEventType,
    Violation,
    rejected,
)

__all__ = ["Schema", "SchemaRejected", "Schemas", "UnknownEventType", "Violation", "rejected"]
