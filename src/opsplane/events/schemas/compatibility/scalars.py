"""Numbers and strings of the giver against the taker's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from opsplane.events.schemas.compatibility.question import Break, Question

Shape = Mapping[str, Any]
_MOST_LISTED = 1000


class Range(NamedTuple):
    """Numbers from `low` to `high`; an open end does not count itself."""

    low: float
    low_open: bool
    high: float
    high_open: bool

    @property
    def is_empty(self) -> bool:
        """Whether no number is in it."""
        return self.low > self.high or (self.low == self.high and (self.low_open or self.high_open))


def range_of(shape: Shape, *, whole: bool) -> Range:
    """The numbers the shape's bounds leave; of whole numbers both ends count."""
    low, low_open = _tighter(shape.get("minimum"), shape.get("exclusiveMinimum"), max, -math.inf)
    high, high_open = _tighter(shape.get("maximum"), shape.get("exclusiveMaximum"), min, math.inf)
    if not whole:
        return Range(low, low_open, high, high_open)
    if not math.isinf(low):
        low = math.floor(low) + 1 if low_open else math.ceil(low)
    if not math.isinf(high):
        high = math.ceil(high) - 1 if high_open else math.floor(high)
    return Range(low, False, high, False)


def numbers(
    asked: Question, one: Shape, other: Shape, pointer: str, kind: str, *, whole: bool
) -> Iterator[Break]:
    """Bounds, whole numbers, multiples; `whole` when the taker allows integers alone."""
    if whole and kind == "number" and not _only_whole(one):
        message = f"{asked.giver} allows fractions, {asked.taker} whole numbers alone."
        yield Break(pointer, "type", message)
    given = range_of(one, whole=kind == "integer")
    taken = range_of(other, whole=kind == "integer")
    if given.low < taken.low or (given.low == taken.low and taken.low_open and not given.low_open):
        yield Break(pointer, "minimum", f"{asked.giver} allows numbers below {asked.taker}'s {taken.low:g}.")
    if given.high > taken.high or (given.high == taken.high and taken.high_open and not given.high_open):
        yield Break(pointer, "maximum", f"{asked.giver} allows numbers above {asked.taker}'s {taken.high:g}.")
    wanted, had = other.get("multipleOf"), one.get("multipleOf")
    if wanted is not None and not _multiples(had, wanted, kind):
        message = f"{asked.taker} asks for multiples of {wanted}; not all that {asked.giver} allows are."
        yield Break(pointer, "multipleOf", message, certain=had is None)


def _multiples(had: float | None, wanted: float, kind: str) -> bool:
    if had is None:
        return kind == "integer" and 1 % wanted == 0
    return had == wanted or had % wanted == 0


def _only_whole(shape: Shape) -> bool:
    multiple = shape.get("multipleOf")
    return multiple is not None and multiple % 1 == 0


def whole_numbers(shape: Shape) -> list[int] | None:
    """Every integer the bounds leave; None when they are many."""
    found = range_of(shape, whole=True)
    if found.is_empty:
        return []
    if found.high - found.low > _MOST_LISTED:
        return None
    return list(range(int(found.low), int(found.high) + 1))


def strings(asked: Question, one: Shape, other: Shape, pointer: str) -> Iterator[Break]:
    """Lengths, pattern and format."""
    least, most = other.get("minLength", 0), other.get("maxLength", math.inf)
    if one.get("minLength", 0) < least:
        message = f"{asked.giver} allows texts shorter than {asked.taker}'s {least} characters."
        yield Break(pointer, "minLength", message)
    if one.get("maxLength", math.inf) > most:
        message = f"{asked.giver} allows texts longer than {asked.taker}'s {most} characters."
        yield Break(pointer, "maxLength", message)
    for name in ("pattern", "format"):
        wanted, had = other.get(name), one.get(name)
        if wanted is not None and had != wanted:
            has = f"has {had!r}" if had is not None else "asks for none"
            message = f"{asked.taker} asks for the {name} {wanted!r}; {asked.giver} {has}."
            yield Break(pointer, name, message, certain=had is None)


def _tighter(inclusive: float | None, exclusive: float | None, pick: Any, far: float) -> tuple[float, bool]:
    closed = far if inclusive is None else inclusive
    opened = far if exclusive is None else exclusive
    end = pick(closed, opened)
    return end, exclusive is not None and end == opened
