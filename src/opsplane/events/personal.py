"""Personal data: what a schema annotates with `"x-personal": true` (or `"writeOnly": true`) is masked where people look.

The annotation may stand at any place of a schema for the payload; everything below it is personal. In a type that has
one, what its schema does not describe is personal too: a field in the wrong place shows nobody's address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from opsplane.events.envelope import UNREADABLE

MASK = "•••"
ROLE = "personal_data_reader"  # who may see what is masked for others
_ANNOTATIONS = ("x-personal", "writeOnly")
_SHORTEST = 3  # shorter values are masked in texts only where they stand in quotes
_COMBINED = ("allOf", "anyOf", "oneOf")
_ALTERNATIVES = ("if", "then", "else")
_ABSENT = object()


class Described(Protocol):
    """Where the schema of an event type is found."""

    def get(self, kind: str) -> Any:
        """Something with the `document` and the `scope` of the newest schema, or None."""
        ...


@dataclass(frozen=True, slots=True)
class View:
    """An event as those see it who may not see personal data, and the values that were masked."""

    event: Any
    values: frozenset[str] = frozenset()

    @property
    def is_masked(self) -> bool:
        """Whether anything was."""
        return bool(self.values)

    def text(self, text: str) -> str:
        """A text about the event, with every masked value in it masked."""
        for value in sorted(self.values, key=len, reverse=True):
            text = _masked_in(text, value)
        return text

    def within(self, value: Any) -> Any:
        """JSON about the event (violations, attempts), its texts masked."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.within(one) for one in value]
        if isinstance(value, dict):
            return {name: self.within(one) for name, one in value.items()}
        return value


class Personal:
    """Masks by the newest schemas there are."""

    def __init__(self, schemas: Described) -> None:
        self._schemas = schemas
        self._known: dict[str, tuple[Any, bool]] = {}

    def view(self, data: bytes, topic: str) -> View:
        """The event in `data` as everyone may see it: JSON, or text where it is none."""
        event = event_of(data)
        kind = event.get("type") if isinstance(event, dict) else None
        schema = self._schema(kind) or self._schema(topic)
        if schema is None:
            return View(event)
        document, whole = schema.document, schema.scope == "event"
        hidden: list[Any] = []
        if not isinstance(event, dict) or "specversion" not in event:
            hidden.append(event)
            return View(MASK, _values(hidden))
        masked = dict(event)
        if "data" in event:
            parts = list(_of_member(document, "data")) if whole else [document]
            masked["data"] = _walk(parts, event["data"], document, hidden)
        if "data_base64" in event:
            hidden.append(event["data_base64"])
            masked["data_base64"] = MASK
        for name in masked.keys() - {"data", "data_base64"} if whole else ():
            if _is_personal(list(_expanded(_of_member(document, name), document, set()))):
                hidden.append(event[name])
                masked[name] = MASK
        values = _values(hidden)
        if isinstance(subject := masked.get("subject"), str):
            masked["subject"] = View(None, values).text(subject)
        return View(masked, values)

    def _schema(self, kind: Any) -> Any:
        """The schema of a type with personal data; None for any other."""
        schema = self._schemas.get(kind) if isinstance(kind, str) else None
        if schema is None:
            return None
        document = schema.document
        known = self._known.get(kind)
        if known is None or known[0] is not document:
            known = self._known[kind] = (document, _is_annotated(document))
        return schema if known[1] else None


def event_of(data: bytes) -> Any:
    """The event as JSON, or as text where it is none."""
    try:
        return msgspec.json.decode(data)
    except UNREADABLE:
        return data.decode(errors="replace")


def _is_annotated(schema: Any) -> bool:
    if isinstance(schema, dict):
        return any(schema.get(name) is True for name in _ANNOTATIONS) or any(
            _is_annotated(one) for one in schema.values()
        )
    return isinstance(schema, list) and any(_is_annotated(one) for one in schema)


def _walk(schemas: list[Any], value: Any, root: Any, hidden: list[Any]) -> Any:
    found = list(_expanded(schemas, root, set()))
    if not found or _is_personal(found):
        hidden.append(value)
        return MASK
    if isinstance(value, dict):
        return {
            name: _walk([sub for one in found for sub in _of_member(one, name)], inner, root, hidden)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [
            _walk([sub for one in found for sub in _of_item(one, place)], inner, root, hidden)
            for place, inner in enumerate(value)
        ]
    if not any(_fits(schema, value) for schema in found):
        hidden.append(value)  # say, a text where an object with an address should be
        return MASK
    return value


def _is_personal(found: Iterable[dict[str, Any]]) -> bool:
    return any(schema.get(name) is True for schema in found for name in _ANNOTATIONS)


def _expanded(schemas: Iterable[Any], root: Any, seen: set[int]) -> Iterator[dict[str, Any]]:
    """The schemas that speak of one value: themselves, what they refer to, what they combine."""
    for schema in schemas:
        if not isinstance(schema, dict) or id(schema) in seen:
            continue
        seen.add(id(schema))
        yield schema
        inner = [one for name in _COMBINED for one in schema.get(name, ())]
        inner += [schema[name] for name in _ALTERNATIVES if name in schema]
        if isinstance(reference := schema.get("$ref"), str):
            inner.append(_resolved(root, reference))
        yield from _expanded(inner, root, seen)


def _resolved(root: Any, reference: str) -> Any:
    """What a reference within the document points to; None for any other."""
    if not reference.startswith("#"):
        return None
    found = root
    for part in reference[1:].split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _of_member(schema: Mapping[str, Any], name: str) -> Iterator[Any]:
    named = schema.get("properties", {}).get(name, _ABSENT)
    patterns = [one for key, one in schema.get("patternProperties", {}).items() if _matches(key, name)]
    yield from patterns
    if named is not _ABSENT:
        yield named
    elif not patterns:
        yield schema.get("additionalProperties")


def _matches(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:  # an expression of another language: not describing the member masks it
        return False


def _of_item(schema: Mapping[str, Any], place: int) -> Iterator[Any]:
    items, first = schema.get("items"), schema.get("prefixItems", ())
    if isinstance(items, list):  # draft-07
        first, items = items, schema.get("additionalItems")
    yield first[place] if place < len(first) else items


def _fits(schema: Mapping[str, Any], value: Any) -> bool:
    """Whether a single value may stand where the schema speaks of one, and not of an object or a list."""
    kinds = schema.get("type")
    if kinds is None:
        return not {"properties", "items", "prefixItems"} & schema.keys()
    return value is None or not {kinds if isinstance(kinds, str) else one for one in kinds} <= {
        "object",
        "array",
    }


def _values(hidden: Any) -> frozenset[str]:
    return frozenset(_texts(hidden))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value.strip() and value != MASK:
            yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif not isinstance(value, bool) and isinstance(value, int | float) and len(str(value)) > _SHORTEST:
        yield str(value)


def _masked_in(text: str, value: str) -> str:
    """The text without the value: as it is, as JSON and Python write it, and cut off at the text's end."""
    for form in {value, msgspec.json.encode(value).decode()[1:-1], repr(value)[1:-1]}:
        if len(form) < _SHORTEST:
            text = text.replace(f'"{form}"', f'"{MASK}"').replace(f"'{form}'", f"'{MASK}'")
            continue
        text = text.replace(form, MASK)
        if text.endswith("…"):
            text = _without_beginning(text[:-1], form) + "…"
    return text


def _without_beginning(text: str, form: str) -> str:
    for length in range(min(len(form), len(text)), _SHORTEST - 1, -1):
        if text.endswith(form[:length]):
            return text[:-length] + MASK
    return text
