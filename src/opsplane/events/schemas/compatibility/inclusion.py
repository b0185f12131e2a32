"""Inclusion: every value of one schema is a value of the other, or the places where that fails.

Sound: where nothing is reported, the taker refuses nothing that the giver allows. What cannot be decided (two patterns,
`not`, `if`) counts as included where both say the same, and is reported as not certain where they do not. Source of
the idea: "Finding Data Compatibility Bugs with JSON Subschema Checks", Habib et al., ISSTA 2021.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs

from opsplane.events.schemas.compatibility import arrays, objects, scalars
from opsplane.events.schemas.compatibility.question import Break, Version
from opsplane.events.schemas.compatibility.shape import (
    Document,
    Unresolvable,
    key_of,
    meet_types,
    same,
    types_of,
)

Shape = Mapping[str, Any]
_DEEPEST = 60
_OPAQUE = ("anyOf", "oneOf", "not", "if", "then", "else", "contains", "minContains", "maxContains",
           "dependentSchemas", "unevaluatedProperties", "unevaluatedItems")  # fmt: skip


class Inclusion:
    """A `Question`, answered."""

    def __init__(self, giver: Version, taker: Version) -> None:
        self.giver, self.taker = giver.name, taker.name
        self._roots = (giver.document, taker.document)
        self._given = Document(giver.document, formats=giver.formats)
        self._taken = Document(taker.document, formats=taker.formats)
        self._asked: set[tuple[str, str]] = set()

    def breaks(self) -> list[Break]:
        """Every break, once."""
        return list(dict.fromkeys(self.between(*self._roots, "")))

    def between(self, given: Any, taken: Any, pointer: str) -> Iterator[Break]:
        """The breaks between two subschemas at a place of the event."""
        key = (key_of(given), key_of(taken))
        if key in self._asked:  # a recursive schema: taken for included while that is being shown
            return
        if pointer.count("/") > _DEEPEST:
            yield Break(pointer, "$ref", "The schemas are nested too deeply to be compared.", certain=False)
            return
        self._asked.add(key)
        try:
            one, other = self._given.shape(given), self._taken.shape(taken)
        except Unresolvable as error:
            yield Break(pointer, "$ref", f"The reference {error} cannot be followed.", certain=False)
            return
        found = list(self._shapes(one, other, pointer))
        if found:
            self._asked.discard(key)  # another place with the same subschemas breaks as well
        yield from self._told(one, other, pointer, found)

    def _told(self, one: Shape, other: Shape, pointer: str, found: list[Break]) -> Iterator[Break]:
        """One break in place of many where all is refused, or nothing was asked for before."""
        certain = any(each.certain for each in found)
        if found and types_of(other) == []:
            yield Break(
                pointer, "additionalProperties", f"{self.taker} does not know it and refuses it.", certain
            )
        elif found and not one:
            message = f"{self.giver} allows anything here, {self.taker} does not."
            yield Break(pointer, found[0].keyword, message, certain)
        else:
            yield from found

    def holds(self, given: Any, taken: Any) -> bool:
        """Whether the taker's subschema accepts everything the giver's allows."""
        return not list(self.between(given, taken, ""))

    def is_empty(self, given: Any) -> bool:
        """Whether the giver's subschema allows nothing at all, as far as that is easily seen."""
        return self._part_is_empty(given, ())

    def _shapes(self, one: Shape, other: Shape, pointer: str) -> Iterator[Break]:
        if self._nothing(one):
            return
        other = self._without_shared(one, other)
        for part in other.pop("allOf", ()):
            if part not in one.get("allOf", ()) or "$ref" in key_of(part):
                yield from self._shapes(one, self._taken.shape(part), pointer)
        for name in ("anyOf", "oneOf"):
            if name in one:
                yield from self._branches(one, name, other, pointer)
                return
        if "enum" in one:
            yield from self._values(one, one["enum"], other, pointer)
        elif "enum" in other:
            yield from self._among(one, other, pointer)
        else:
            yield from self._alternatives(one, other, pointer)
            yield from self._types(one, other, pointer)
            yield from self._opaque(other, pointer)

    def _without_shared(self, one: Shape, other: Shape) -> dict[str, Any]:
        """The taker's shape without what cannot be decided but stands in the giver's as well."""
        return {
            name: value
            for name, value in other.items()
            if name not in _OPAQUE or one.get(name) != value or "$ref" in key_of(value)
        }

    def _branches(self, one: Shape, name: str, other: Shape, pointer: str) -> Iterator[Break]:
        rest = {key: value for key, value in one.items() if key != name}
        for branch in one[name]:
            yield from self._shapes(self._given.shape({"allOf": [rest, branch]}), other, pointer)

    def _values(self, one: Shape, values: list[Any], other: Shape, pointer: str) -> Iterator[Break]:
        """A list of values is decided value by value."""
        given, taken = self._validator(one, 0), self._validator(other, 1)
        refused = [value for value in values if given.is_valid(value) and not taken.is_valid(value)]
        if refused:
            message = f"{self.taker} refuses {_listed(refused)}, which {self.giver} allows."
            yield Break(pointer, "enum", message)

    def _validator(self, shape: Shape, side: int) -> Any:
        root = self._roots[side]
        known = {} if isinstance(root, bool) else {n: root[n] for n in ("$defs", "definitions") if n in root}
        if not types_of(shape):
            return jsonschema_rs.validator_for(False)
        draft = "https://json-schema.org/draft/2020-12/schema"
        return jsonschema_rs.validator_for({**known, **shape, "$schema": draft}, validate_formats=True)

    def _among(self, one: Shape, other: Shape, pointer: str) -> Iterator[Break]:
        """The taker lists its values: what the giver allows must be few, and among them."""
        for kind in types_of(one):
            values = _values_of(kind, one)
            if values is None:
                message = f"{self.taker} allows {_listed(other['enum'])} alone; {self.giver} allows more."
                yield Break(pointer, "enum", message)
            else:
                yield from self._values(one, values, other, pointer)

    def _alternatives(self, one: Shape, other: Shape, pointer: str) -> Iterator[Break]:
        """Type by type, one of the taker's alternatives must take all the giver allows."""
        for name in ("anyOf", "oneOf"):
            for kind in types_of(one) if name in other else ():
                part = {**one, "type": [kind]}
                branches = [self._taken.shape(branch) for branch in other[name]]
                rivals = [branch for branch in branches if not _apart(part, branch)]
                fitting = [branch for branch in rivals if not list(self._shapes(part, branch, ""))]
                if not fitting:
                    message = f"None of {self.taker}'s alternatives takes every {kind} {self.giver} allows."
                    yield Break(pointer, name, message, certain=len(rivals) < 2)
                elif name == "oneOf" and len(rivals) > 1:
                    message = f"Several of {self.taker}'s alternatives may take a {kind}; exactly one must."
                    yield Break(pointer, name, message, certain=len(fitting) > 1)

    def _types(self, one: Shape, other: Shape, pointer: str) -> Iterator[Break]:
        taken = types_of(other)
        for kind in types_of(one):
            if self._nothing_of(kind, one, ()):
                continue
            if not meet_types([kind], taken):
                yield Break(pointer, "type", f"{self.giver} allows {_named(kind)}, {self.taker} does not.")
            elif kind in ("integer", "number"):
                yield from scalars.numbers(self, one, other, pointer, kind, whole="number" not in taken)
            elif kind == "string":
                yield from scalars.strings(self, one, other, pointer)
            elif kind == "array":
                yield from arrays.arrays(self, one, other, pointer)
            elif kind == "object":
                yield from objects.objects(self, one, other, pointer)

    def _opaque(self, other: Shape, pointer: str) -> Iterator[Break]:
        for name in _OPAQUE:
            if name in other and name not in ("anyOf", "oneOf", "then", "else"):
                message = (
                    f"Whether all that {self.giver} allows fits `{name}` of {self.taker} cannot be shown."
                )
                yield Break(pointer, name, message, certain=False)

    def _nothing(self, shape: Shape, inside: tuple[str, ...] = ()) -> bool:
        if "enum" in shape and not shape["enum"]:
            return True
        return all(self._nothing_of(kind, shape, inside) for kind in types_of(shape))

    def _nothing_of(self, kind: str, shape: Shape, inside: tuple[str, ...]) -> bool:
        if kind in ("integer", "number"):
            return scalars.range_of(shape, whole=kind == "integer").is_empty
        if kind == "string":
            return bool(shape.get("minLength", 0) > shape.get("maxLength", float("inf")))
        if kind == "array":
            return arrays.no_array(shape, lambda part: self._part_is_empty(part, inside))
        if kind == "object":
            return objects.no_object(shape, lambda part: self._part_is_empty(part, inside))
        return False

    def _part_is_empty(self, part: Any, inside: tuple[str, ...]) -> bool:
        key = key_of(part)
        if key in inside:
            return False
        try:
            return self._nothing(self._given.shape(part), (*inside, key))
        except Unresolvable:
            return False


def _values_of(kind: str, shape: Shape) -> list[Any] | None:
    """Every value of a type the shape allows; None when they are many."""
    if kind == "integer":
        return scalars.whole_numbers(shape)
    few: dict[str, list[Any]] = {"null": [None], "boolean": [True, False]}
    return few.get(kind)


def _apart(part: Shape, branch: Shape) -> bool:
    """Whether no value of the giver's part can be one of the branch: no common type, or a required property that differs."""
    if not meet_types(types_of(part), types_of(branch)):
        return True
    if types_of(part) != ["object"]:
        return False
    return any(_differ(part, branch, name) for name in part.get("required", ()))


def _differ(part: Shape, branch: Shape, name: str) -> bool:
    listed = [_listed_values(side.get("properties", {}).get(name)) for side in (part, branch)]
    if not all(listed):
        return False
    return not any(same(one, other) for one in listed[0] for other in listed[1])


def _listed_values(schema: Any) -> list[Any]:
    if not isinstance(schema, Mapping):
        return []
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))


def _listed(values: list[Any]) -> str:
    shown = ", ".join(repr(value) for value in values[:5])
    return shown if len(values) <= 5 else f"{shown} and {len(values) - 5} more"


def _named(kind: str) -> str:
    return kind if kind == "null" else f"an {kind}" if kind[0] in "aio" else f"a {kind}"
