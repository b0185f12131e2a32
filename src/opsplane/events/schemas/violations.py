"""Violations: what is wrong with an event, where, and of which class."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import msgspec

from opsplane.errors import InvalidInput
from opsplane.telemetry import counter

if TYPE_CHECKING:
    from opsplane.events.schemas.document import Schema

_counted = counter(
    "event_validation_errors_total", "Violations found in events.", ["event_type", "field", "error_type"]
)
_LONGEST = 500
BUSINESS = "business_logic_violation"
_KEYWORDS = {
    "required_field_missing": "required dependentRequired dependencies",
    "format_invalid": "format pattern enum const minimum maximum exclusiveMinimum exclusiveMaximum multipleOf"
    " uniqueItems contentEncoding contentMediaType",
    "length_exceeded": "minLength maxLength minItems maxItems minProperties maxProperties",
    "unknown_field": "additionalProperties unevaluatedProperties propertyNames additionalItems unevaluatedItems",
}
_CLASSES = {keyword: name for name, keywords in _KEYWORDS.items() for keyword in keywords.split()}
CLASSES = (*_KEYWORDS, "type_mismatch", BUSINESS)


class Violation(msgspec.Struct, frozen=True):
    """One reason why a payload does not fit: where (JSON pointer), which keyword, what is wrong."""

    pointer: str
    keyword: str
    message: str
    error: str = BUSINESS


class SchemaRejected(InvalidInput):
    """The event violates the schema of its type; `violations` has all of them, `version` and `formats` say of what."""


class UnknownEventType(InvalidInput):
    """No active schema describes this event type."""


def found_by(kind: str, error: Any) -> Violation:
    """The violation in an error of the validator, counted."""
    keyword = str(error.kind.name)
    pointer = "".join(f"/{escaped(part)}" for part in error.instance_path)
    field = _field(error.schema_path)
    if keyword == "required":
        pointer += f"/{escaped(error.kind.property)}"
        field += f"/{error.kind.property}"
    found = Violation(pointer, keyword, shortened(error.message), _CLASSES.get(keyword, "type_mismatch"))
    _counted.labels(kind, field, found.error).inc()
    return found


def too_deep(kind: str, error: ValueError) -> Violation:
    """The violation of a payload nested deeper than the validator follows, counted."""
    _counted.labels(kind, "depth", "type_mismatch").inc()
    return Violation("", "depth", shortened(f"The payload cannot be judged: {error}."), "type_mismatch")


def count(kind: str, violation: Violation) -> Violation:
    """The violation of a rule, counted."""
    _counted.labels(kind, violation.keyword, violation.error).inc()
    return violation


def rejected(kind: str, found: list[Violation], schema: Schema | None = None) -> SchemaRejected:
    """The error that carries all violations of one event, and says which version judged it and how formats were taken."""
    number = f"{len(found)} violation{'s' if len(found) > 1 else ''}"
    judge = ""
    facts: dict[str, Any] = {}
    if schema is not None:
        taken = "asserted" if schema.formats == "assert" else "annotated"
        judge = f" of version {schema.version} (formats {taken})"
        facts = {"version": schema.version, "formats": schema.formats}
    return SchemaRejected(
        f"The data of {kind} has {number}{judge}: {found[0].pointer or '/'} {found[0].message}",
        violations=[msgspec.to_builtins(violation) for violation in found],
        **facts,
    )


def escaped(part: object) -> str:
    """One step of a JSON pointer."""
    return str(part).replace("~", "~0").replace("/", "~1")


def shortened(message: str) -> str:
    """The message, cut where a payload made it long."""
    return message if len(message) <= _LONGEST else message[:_LONGEST] + "…"


def _field(schema_path: list[str | int]) -> str:
    """The place in the schema by its property names: unlike a place in the payload, one of few."""
    names = itertools.pairwise(schema_path)
    return "".join(f"/{name}" for keyword, name in names if keyword == "properties")
