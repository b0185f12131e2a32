"""Validate: what is on a stream may come from anyone."""

from __future__ import annotations

from opsplane.events.chain.work import Work
from opsplane.events.schemas import Schemas, rejected


def validate_work(work: Work, schemas: Schemas) -> None:
    """Return when the payload fits its type; raises `SchemaRejected` with every violation."""
    found = schemas.violations(work.event.type, work.event.data)
    if found:
        raise rejected(work.event.type, found)
