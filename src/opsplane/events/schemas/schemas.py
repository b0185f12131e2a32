"""Event schemas: JSON Schema files compiled once, and business rules beside them."""

from __future__ import annotations

import difflib
import itertools
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec

from opsplane.errors import InvalidInput
from opsplane.telemetry import counter

_violations = counter(
    "event_validation_errors_total", "Violations found in events.", ["event_type", "field", "error_type"]
)
_LONGEST = 500
_CLASSES = {
    "required": "required_field_missing",
    "format": "format_invalid",
    "pattern": "format_invalid",
    "type": "type_mismatch",
    "maxLength": "length_exceeded",
    "maxItems": "length_exceeded",
    "additionalProperties": "unknown_field",
    "unevaluatedProperties": "unknown_field",
}


class Violation(msgspec.Struct, frozen=True):
    """One reason why a payload does not fit: where (JSON pointer), which keyword, what is wrong."""

    pointer: str
    keyword: str
    message: str
    error: str = "business_logic_violation"


Rule = Callable[[Any], Iterable[Violation]]


class SchemaRejected(InvalidInput):
    """The payload violates the schema of its event type; `violations` has all of them."""


class UnknownEventType(InvalidInput):
    """No schema describes this event type."""


@dataclass(frozen=True, slots=True)
class Schema:
    """One version of an event type's schema, compiled."""

    type: str
    version: int
    document: dict[str, Any]
    validator: Any


class Schemas:
    """The newest schema of every event type, and the rules JSON Schema cannot say."""

    def __init__(
        self, schemas: Iterable[Schema] = (), rules: Mapping[str, Iterable[Rule]] | None = None
    ) -> None:
        self._schemas: dict[str, Schema] = {}
        for schema in schemas:
            known = self._schemas.get(schema.type)
            if known is None or known.version < schema.version:
                self._schemas[schema.type] = schema
        self._rules = {kind: tuple(found) for kind, found in (rules or {}).items()}

    @classmethod
    def load(cls, *directories: Path, rules: Mapping[str, Iterable[Rule]] | None = None) -> Schemas:
        """Every `<type>/<version>.json` below the directories; raises `InvalidInput` naming a file that is no schema."""
        found = [_read(path) for directory in directories for path in sorted(directory.glob("*/*.json"))]
        return cls(found, rules)

    def merged(self, other: Schemas) -> Schemas:
        """These schemas and rules together with another set's."""
        kinds = self._rules.keys() | other._rules.keys()
        rules = {kind: (*self._rules.get(kind, ()), *other._rules.get(kind, ())) for kind in kinds}
        return Schemas([*self._schemas.values(), *other._schemas.values()], rules)

    def types(self) -> list[str]:
        """Every event type described, sorted."""
        return sorted(self._schemas)

    def get(self, kind: str) -> Schema | None:
        """The newest schema of an event type."""
        return self._schemas.get(kind)

    def violations(self, kind: str, data: Any) -> list[Violation]:
        """Every reason why `data` is no payload of `kind`; empty when it fits or nothing describes the type."""
        schema = self._schemas.get(kind)
        try:
            if schema is not None and not schema.validator.is_valid(data):
                return [_violation(kind, error) for error in schema.validator.iter_errors(data)]
        except ValueError as error:  # the validator follows 255 levels
            _violations.labels(kind, "depth", "type_mismatch").inc()
            return [Violation("", "depth", f"The payload cannot be judged: {error}.", "type_mismatch")]
        found = [violation for rule in self._rules.get(kind, ()) for violation in rule(data)]
        for violation in found:
            _violations.labels(kind, violation.keyword, violation.error).inc()
        return found

    def require(self, kind: str, data: Any) -> None:
        """Return when `data` is a payload of `kind`; raise `UnknownEventType` or `SchemaRejected`."""
        if kind not in self._schemas:
            near = difflib.get_close_matches(kind, self._schemas, n=1)
            raise UnknownEventType(
                f"No schema describes the event type {kind}.",
                remedy=f"Did you mean {near[0]}?"
                if near
                else "Add schemas/<type>/<version>.json to its service.",
            )
        found = self.violations(kind, data)
        if found:
            raise rejected(kind, found)


def rejected(kind: str, found: list[Violation]) -> SchemaRejected:
    """The error that carries all violations of one payload."""
    count = f"{len(found)} violation{'s' if len(found) > 1 else ''}"
    return SchemaRejected(
        f"The data of {kind} has {count}: {found[0].pointer or '/'} {found[0].message}",
        violations=[msgspec.to_builtins(violation) for violation in found],
    )


def _read(path: Path) -> Schema:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        validator = jsonschema_rs.validator_for(document, validate_formats=True, formats={"uuid": _is_uuid})
        return Schema(path.parent.name, int(path.stem), document, validator)
    except (ValueError, jsonschema_rs.ValidationError) as error:
        raise InvalidInput(f"{path} is not a schema: {error}", remedy="Correct the file.") from error


def _is_uuid(text: str) -> bool:
    try:
        return len(text) == 36 and bool(uuid.UUID(text))
    except ValueError:
        return False


def _violation(kind: str, error: Any) -> Violation:
    keyword = str(error.kind.name)
    pointer = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in error.instance_path)
    field = _field(error.schema_path)
    if keyword == "required":
        pointer += "/" + str(error.kind.property)
        field += "/" + str(error.kind.property)
    message = error.message if len(error.message) <= _LONGEST else error.message[:_LONGEST] + "…"
    found = Violation(pointer, keyword, message, _CLASSES.get(keyword, "type_mismatch"))
    _violations.labels(kind, field, found.error).inc()
    return found


def _field(schema_path: list[str | int]) -> str:
    """The place in the schema by its property names: unlike a place in the payload, one of few."""
    names = itertools.pairwise(schema_path)
    return "".join(f"/{name}" for keyword, name in names if keyword == "properties")
