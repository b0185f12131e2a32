"""The schemas a process knows: those of its own files, until the registry tells which are active."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from opsplane.events.envelope import Event, encode
from opsplane.events.schemas.document import Schema, read
from opsplane.events.schemas.rules import Rule
from opsplane.events.schemas.violations import UnknownEventType, Violation, count, rejected


class Schemas:
    """The usable versions of every event type's schema, and the rules JSON Schema cannot say.

    An event is judged by the version its `dataschema` names when that is active or deprecated, else by the newest
    active one.
    """

    def __init__(
        self, schemas: Iterable[Schema] = (), rules: Mapping[str, Iterable[Rule]] | None = None
    ) -> None:
        self._declared = tuple(schemas)
        self._rules = {kind: tuple(found) for kind, found in (rules or {}).items()}
        self._schemas: dict[str, Schema] = {}
        self._named: dict[str, Schema] = {}
        self._know(self._declared)

    @classmethod
    def load(cls, *directories: Path, rules: Mapping[str, Iterable[Rule]] | None = None) -> Schemas:
        """Every `<type>/<version>.json` below the directories; raises `InvalidSchema` naming a file that is no schema."""
        found = [read(path) for directory in directories for path in sorted(directory.glob("*/*.json"))]
        return cls(found, rules)

    def merged(self, other: Schemas) -> Schemas:
        """These schemas and rules together with another set's, as they were declared."""
        kinds = self._rules.keys() | other._rules.keys()
        rules = {kind: (*self._rules.get(kind, ()), *other._rules.get(kind, ())) for kind in kinds}
        return Schemas([*self._declared, *other._declared], rules)

    def adopt(self, registered: Iterable[Schema]) -> None:
        """Judge by these from now on; of types that are not among them what was declared goes on to count."""
        found = list(registered)
        kinds = {schema.type for schema in found}
        self._know([*(schema for schema in self._declared if schema.type not in kinds), *found])

    @property
    def declared(self) -> tuple[Schema, ...]:
        """Those of the files, every version."""
        return self._declared

    def types(self) -> list[str]:
        """Every event type described, sorted."""
        return sorted(self._schemas)

    def usable(self) -> list[Schema]:
        """Every active or deprecated version, by type and version."""
        return sorted(self._named.values(), key=lambda one: (one.type, one.version))

    def get(self, kind: str) -> Schema | None:
        """The newest active schema of an event type; when none is active any more, the newest."""
        return self._schemas.get(kind)

    def of(self, event: Event[Any]) -> Schema | None:
        """The schema that judges an event."""
        if event.dataschema is not None:
            named = self._named.get(event.dataschema) or self._named.get(_from_address(event))
            if named is not None and named.type == event.type:
                return named
        return self._schemas.get(event.type)

    def violations(self, kind: str, data: Any) -> list[Violation]:
        """Every reason why `data` is no payload of `kind`; empty when it fits or nothing describes the type.

        Of a schema for the whole event the rules alone are asked.
        """
        schema = self._schemas.get(kind)
        if schema is not None and schema.scope == "data":
            found = schema.violations(data)
            if found:
                return found
        return self._broken(kind, data)

    def require(self, kind: str, data: Any) -> None:
        """Return when `data` is a payload of `kind`; raise `UnknownEventType` or `SchemaRejected`."""
        if kind not in self._schemas:
            raise self._unknown(kind)
        found = self.violations(kind, data)
        if found:
            raise rejected(kind, found, self._schemas[kind])

    def verify(self, event: Event[Any], envelope: bytes | None = None) -> Schema | None:
        """The schema the event fits; None when nothing describes its type. Raises `SchemaRejected`.

        `envelope` is the event encoded, where the caller has it.
        """
        schema = self.of(event)
        found = self._faults(schema, event, envelope)
        if found:
            raise rejected(event.type, found, schema)
        return schema

    def faults(self, event: Event[Any], envelope: bytes | None = None) -> list[Violation]:
        """Every reason why the event does not fit; empty when it does or nothing describes its type."""
        return self._faults(self.of(event), event, envelope)

    def admit(self, event: Event[Any]) -> Event[Any]:
        """The event to be published: it fits its schema, and its `dataschema` says which version that was.

        Raises `UnknownEventType` (also when no version is active any more) or `SchemaRejected`.
        """
        schema = self.of(event)
        if schema is None or (schema.state != "active" and event.dataschema is None):
            raise self._unknown(event.type)
        found = self._faults(schema, event)
        if found:
            raise rejected(event.type, found, schema)
        return event if event.dataschema else msgspec.structs.replace(event, dataschema=schema.name)

    def _faults(
        self, schema: Schema | None, event: Event[Any], envelope: bytes | None = None
    ) -> list[Violation]:
        found: list[Violation] = []
        if schema is not None:
            whole = schema.scope == "event"
            found = schema.violations(msgspec.json.decode(envelope or encode(event)) if whole else event.data)
        return found or self._broken(event.type, event.data)

    def _broken(self, kind: str, data: Any) -> list[Violation]:
        rules = self._rules.get(kind)
        if not rules:
            return []
        return [count(kind, violation) for rule in rules for violation in rule(data)]

    def _unknown(self, kind: str) -> UnknownEventType:
        if kind in self._schemas:
            return UnknownEventType(
                f"No version of the schema of {kind} is active any more.",
                remedy=f"Promote one: opsplane schema promote {kind} VERSION",
            )
        near = difflib.get_close_matches(kind, self._schemas, n=1)
        return UnknownEventType(
            f"No schema describes the event type {kind}.",
            remedy=f"Did you mean {near[0]}?"
            if near
            else "Add schemas/<type>/<version>.json to its service.",
        )

    def _know(self, schemas: Iterable[Schema]) -> None:
        newest: dict[str, Schema] = {}
        named: dict[str, Schema] = {}
        for schema in schemas:
            if schema.state == "draft":
                continue
            named[schema.name] = schema
            known = newest.get(schema.type)
            if known is None or _rank(known) < _rank(schema):
                newest[schema.type] = schema
        self._schemas, self._named = newest, named


def _rank(schema: Schema) -> tuple[bool, int]:
    return schema.state == "active", schema.version


def _from_address(event: Event[Any]) -> str:
    """The name of the version whose address at the registry's API the event's `dataschema` is."""
    subject, _, version = (
        (event.dataschema or "").partition("/api/v1/schemas/subjects/")[2].partition("/versions/")
    )
    return f"urn:opsplane:schema:{subject}:{version}"
