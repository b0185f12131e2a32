"""Objects of the giver against the taker's."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from opsplane.events.schemas.compatibility.question import Break, Question

Shape = Mapping[str, Any]


def objects(asked: Question, one: Shape, other: Shape, pointer: str) -> Iterator[Break]:
    """Required properties, the named ones, those of patterns, the others, their number and names."""
    for name in other.get("required", ()):
        if name not in one.get("required", ()):
            message = f"{asked.taker} requires {name!r}; {asked.giver} does not."
            yield Break(f"{pointer}/{_escaped(name)}", "required", message)
    for name in {**one.get("properties", {}), **other.get("properties", {})}:
        given = property_of(one, name)
        if not asked.is_empty(given):
            yield from asked.between(given, property_of(other, name), f"{pointer}/{_escaped(name)}")
    yield from _others(asked, one, other, pointer)
    yield from _numbers(asked, one, other, pointer)
    yield from _names(asked, one, other, pointer)
    yield from _dependent(asked, one, other, pointer)


def no_object(shape: Shape, is_empty: Callable[[Any], bool]) -> bool:
    """Whether no object can be as the shape asks."""
    if any(is_empty(property_of(shape, name)) for name in shape.get("required", ())):
        return True
    return bool(_fewest(shape) > _most(shape, is_empty))


def property_of(shape: Shape, name: str) -> Any:
    """The schema of one property: its own and that of each fitting pattern, else the one of all others."""
    found = [part for pattern, part in shape.get("patternProperties", {}).items() if re.search(pattern, name)]
    if name in shape.get("properties", {}):
        found.append(shape["properties"][name])
    if not found:
        return shape.get("additionalProperties", True)
    return found[0] if len(found) == 1 else {"allOf": found}


def _others(asked: Question, one: Shape, other: Shape, pointer: str) -> Iterator[Break]:
    given, taken = one.get("patternProperties", {}), other.get("patternProperties", {})
    rest, taken_rest = one.get("additionalProperties", True), other.get("additionalProperties", True)
    for pattern, part in given.items():
        for known, wanted in taken.items() if pattern not in taken else [(pattern, taken[pattern])]:
            if not asked.holds(part, wanted):
                message = f"Properties like {pattern} of {asked.giver} may not fit {known} of {asked.taker}."
                yield Break(f"{pointer}/*", "patternProperties", message, certain=pattern == known)
        if pattern not in taken:
            yield from asked.between(part, taken_rest, f"{pointer}/*")
    if asked.is_empty(rest):
        return
    for pattern, wanted in taken.items():
        if pattern not in given and not asked.holds(rest, wanted):
            message = f"{asked.giver} does not restrict properties like {pattern} as {asked.taker} does."
            yield Break(f"{pointer}/*", "patternProperties", message)
    yield from asked.between(rest, taken_rest, f"{pointer}/*")


def _numbers(asked: Question, one: Shape, other: Shape, pointer: str) -> Iterator[Break]:
    least, most = other.get("minProperties", 0), other.get("maxProperties", math.inf)
    if _fewest(one) < least:
        message = f"{asked.giver} allows fewer than {asked.taker}'s {least} properties."
        yield Break(pointer, "minProperties", message)
    if _most(one, asked.is_empty) > most:
        message = f"{asked.giver} allows more than {asked.taker}'s {most} properties."
        yield Break(pointer, "maxProperties", message)


def _names(asked: Question, one: Shape, other: Shape, pointer: str) -> Iterator[Break]:
    wanted = other.get("propertyNames")
    if wanted is None:
        return
    if _is_closed(one, asked.is_empty):
        names = [name for name in one.get("properties", {}) if not asked.is_empty(property_of(one, name))]
        held = asked.holds({"enum": names}, wanted)
    else:
        held = asked.holds(one.get("propertyNames", {"type": "string"}), wanted)
    if not held:
        message = f"{asked.giver} allows names of properties that {asked.taker} refuses."
        yield Break(pointer, "propertyNames", message, certain="propertyNames" not in one)


def _dependent(asked: Question, one: Shape, other: Shape, pointer: str) -> Iterator[Break]:
    required, given = set(one.get("required", ())), one.get("dependentRequired", {})
    for name, wanted in other.get("dependentRequired", {}).items():
        missing = set(wanted) - required - set(given.get(name, ())) - {name}
        if missing and not asked.is_empty(property_of(one, name)):
            message = f"Beside {name!r} {asked.taker} requires {', '.join(sorted(missing))}."
            yield Break(f"{pointer}/{_escaped(name)}", "dependentRequired", message, certain=not given)


def _fewest(shape: Shape) -> int:
    least: int = shape.get("minProperties", 0)
    return max(least, len(shape.get("required", ())))


def _most(shape: Shape, is_empty: Callable[[Any], bool]) -> float:
    most: float = shape.get("maxProperties", math.inf)
    if _is_closed(shape, is_empty):
        names = shape.get("properties", {})
        most = min(most, sum(not is_empty(property_of(shape, name)) for name in names))
    return most


def _is_closed(shape: Shape, is_empty: Callable[[Any], bool]) -> bool:
    return not shape.get("patternProperties") and is_empty(shape.get("additionalProperties", True))


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
