"""A schema in one normal form: references followed, `allOf` merged as far as it can be, keywords by one name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
NOTHING: dict[str, Any] = {"type": []}
_ANNOTATIONS = frozenset(
    {"$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default", "examples"}
    | {"readOnly", "writeOnly", "deprecated", "contentMediaType", "contentEncoding", "$anchor"}
)
_LARGEST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_SMALLEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_NESTED = ("items", "propertyNames")
_OBJECT = ("properties", "patternProperties", "additionalProperties")
_TOGETHER = (("if", "then", "else"), ("contains", "minContains", "maxContains"), ("prefixItems", "items"))


class Unresolvable(Exception):
    """A reference that does not point into the same document."""


class Document:
    """One schema document, whose parts are asked for in normal form."""

    def __init__(self, root: Any, *, formats: bool) -> None:
        self._root = root
        self._draft7 = isinstance(root, Mapping) and "draft-07" in str(root.get("$schema", ""))
        self._formats = formats

    def shape(self, schema: Any, following: tuple[str, ...] = ()) -> dict[str, Any]:
        """The schema as a mapping without annotations and references; raises `Unresolvable`.

        What of an `allOf` cannot be merged stays in `allOf`.
        """
        if isinstance(schema, bool):
            return {} if schema else dict(NOTHING)
        found = {
            name: value
            for name, value in schema.items()
            if name not in _ANNOTATIONS and not name.startswith("x-") and (self._formats or name != "format")
        }
        reference, parts = found.pop("$ref", None), found.pop("allOf", ())
        found = _renamed(found)
        if reference is not None:
            if reference in following:
                raise Unresolvable(reference)
            pointed = self.shape(self._follow(reference), (*following, reference))
            if self._draft7:
                return pointed  # draft-07: what stands beside a reference does not count
            found = _both(found, pointed)
        for part in parts:
            found = _both(found, self.shape(part, following))
        return found

    def _follow(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise Unresolvable(reference)
        place = self._root
        for part in reference[1:].split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            try:
                place = place[int(name)] if isinstance(place, list) else place[name]
            except (KeyError, IndexError, ValueError, TypeError):
                raise Unresolvable(reference) from None
        return place


def types_of(shape: Mapping[str, Any]) -> list[str]:
    """The types the shape allows, `integer` only where `number` is not among them."""
    named = shape.get("type", [kind for kind in TYPES if kind != "integer"])
    return [kind for kind in named if kind != "integer" or "number" not in named]


def meet_types(one: list[str], other: list[str]) -> list[str]:
    """The types that are in both; an integer is a number."""
    found = [kind for kind in one if kind in other]
    whole = ("integer" in one and "number" in other) or ("number" in one and "integer" in other)
    return [*found, "integer"] if whole and not {"integer", "number"} & set(found) else found


def key_of(schema: Any) -> str:
    """A text that is equal for equal schemas."""
    return json.dumps(schema, sort_keys=True)


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: 1 and 1.0 are, 1 and true are not."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _renamed(found: dict[str, Any]) -> dict[str, Any]:
    """Keywords of draft-07 by their later names."""
    if isinstance(found.get("items"), list):
        found["prefixItems"] = found.pop("items")
        if "additionalItems" in found:
            found["items"] = found.pop("additionalItems")
    found.pop("additionalItems", None)
    for name, wanted in found.pop("dependencies", {}).items():
        kind = "dependentRequired" if isinstance(wanted, list) else "dependentSchemas"
        found[kind] = {**found.get(kind, {}), name: wanted}
    if isinstance(found.get("type"), str):
        found["type"] = [found["type"]]
    if "const" in found:
        found["enum"] = [found.pop("const")]
    return found


def _both(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What holds when both hold; what cannot be said in one is kept in `allOf`."""
    if not one or not other:
        return dict(one or other)
    found, kept = dict(one), dict(other)
    left: list[Any] = [*found.pop("allOf", ()), *kept.pop("allOf", ())]
    for names in (*_TOGETHER, *_objects_apart(one, other)):
        both_speak = all(any(name in side for name in names) for side in (found, kept))
        if both_speak and any(names[0] in side for side in (found, kept)):
            left += [{name: kept.pop(name) for name in names if name in kept}]
    if "additionalProperties" in found or "additionalProperties" in kept:
        _close(found, kept)
    for name, value in kept.items():
        if name not in found:
            found[name] = value
        elif (met := _meet(name, found[name], value)) is not None:
            found[name] = met
        else:
            left.append({name: value})
    return {**found, "allOf": left} if left else found


def _objects_apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """With patterns on one side and a closed other, the keywords of objects are not merged."""
    if not any("additionalProperties" in side for side in (one, other)):
        return []
    if not any("patternProperties" in side for side in (one, other)):
        return []
    return [(name, *(known for known in _OBJECT if known != name)) for name in _OBJECT]


def _close(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Properties named by one side only obey the other side's `additionalProperties`."""
    names = {**one.get("properties", {}), **other.get("properties", {})}
    if not names and "additionalProperties" not in other:
        return
    one["properties"] = {name: _joined(_property(one, name), _property(other, name)) for name in names}
    one["additionalProperties"] = _joined(*(side.get("additionalProperties", True) for side in (one, other)))
    other.pop("properties", None)
    other.pop("additionalProperties", None)


def _joined(one: Any, other: Any) -> Any:
    """The schema that says both; a schema that says nothing adds nothing, so that recursion comes back to itself."""
    if one is True or one == other:
        return other
    return one if other is True else {"allOf": [one, other]}


def _property(side: Mapping[str, Any], name: str) -> Any:
    return side.get("properties", {}).get(name, side.get("additionalProperties", True))


def _meet(name: str, one: Any, other: Any) -> Any:  # noqa: PLR0911  one line a kind of keyword
    """The value of a keyword that says what both values say; None when there is none."""
    if same(one, other):
        return one
    if name in _LARGEST:
        return max(one, other)
    if name in _SMALLEST:
        return min(one, other)
    if name == "type":
        return meet_types(one, other)
    if name == "required":
        return sorted({*one, *other})
    if name == "enum":
        return [value for value in one if any(same(value, known) for known in other)]
    if name == "uniqueItems":
        return True
    if name in ("properties", "patternProperties"):
        shared = one.keys() & other.keys()
        return {**one, **other, **{key: _joined(one[key], other[key]) for key in shared}}
    return _joined(one, other) if name in _NESTED else None
