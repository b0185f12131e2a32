"""Validate: what is on a stream may come from anyone."""

from __future__ import annotations

import msgspec

from opsplane.events.chain.work import Work
from opsplane.events.schemas import Schemas, Violation, rejected


def validate_work(work: Work, schemas: Schemas) -> None:
    """Return when the payload fits its type, converted to the class the handler asked for.

    Raises `SchemaRejected` with every violation.
    """
    event = work.event
    schemas.verify(event, work.entry.data)
    wanted = work.consumer.data
    if wanted is not None:
        try:
            data = msgspec.convert(event.data, wanted)
        except msgspec.ValidationError as error:
            message, _, place = str(error).partition(" - at `$")
            pointer = place.rstrip("`").replace(".", "/")
            raise rejected(event.type, [Violation(pointer, "type", message, "type_mismatch")]) from error
        work.event = msgspec.structs.replace(event, data=data)
