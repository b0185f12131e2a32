"""Arrays of the giver against the taker's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from opsplane.events.schemas.compatibility.question import Break, Question

Shape = Mapping[str, Any]


def arrays(asked: Question, one: Shape, other: Shape, pointer: str) -> Iterator[Break]:
    """Items by place, the others, lengths, uniqueness."""
    longest = _longest(one, asked.is_empty)
    named = max(len(one.get("prefixItems", ())), len(other.get("prefixItems", ())))
    for place in range(named):
        if place < longest:
            yield from asked.between(_item(one, place), _item(other, place), f"{pointer}/{place}")
    if named < longest:
        yield from asked.between(_item(one, named), _item(other, named), f"{pointer}/*")
    least, most = other.get("minItems", 0), other.get("maxItems", math.inf)
    if one.get("minItems", 0) < least:
        message = f"{asked.giver} allows fewer than {asked.taker}'s {least} items."
        yield Break(pointer, "minItems", message)
    if longest > most:
        yield Break(pointer, "maxItems", f"{asked.giver} allows more than {asked.taker}'s {most} items.")
    if other.get("uniqueItems") and not one.get("uniqueItems") and longest > 1:
        message = f"{asked.taker} wants every item once; {asked.giver} allows the same twice."
        yield Break(pointer, "uniqueItems", message)


def no_array(shape: Shape, is_empty: Callable[[Any], bool]) -> bool:
    """Whether no array can be as the shape asks."""
    return bool(shape.get("minItems", 0) > _longest(shape, is_empty))


def _item(shape: Shape, place: int) -> Any:
    named = shape.get("prefixItems", ())
    return named[place] if place < len(named) else shape.get("items", True)


def _longest(shape: Shape, is_empty: Callable[[Any], bool]) -> float:
    """The length of the longest array: what no item can be ends it."""
    most: float = shape.get("maxItems", math.inf)
    named = len(shape.get("prefixItems", ()))
    ends = (place for place in range(named + 1) if is_empty(_item(shape, place)))
    return min(most, next(ends, math.inf))
