"""Business rules: what JSON Schema cannot say, as functions of the payload that yield violations.

They speak only once the schema is content, and only of fields the payload carries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import chain, pairwise
from typing import Any

import msgspec

from opsplane.clock import SYSTEM, Clock
from opsplane.events.schemas.violations import Violation

Rule = Callable[[Any], Iterable[Violation]]
Rules = Mapping[str, Sequence[Rule]]
TOLERANCE = timedelta(minutes=5)  # clocks of different machines differ


def ascending(*fields: str) -> Rule:
    """A rule: the amounts in these fields, as far as they are there, grow from first to last.

    An amount is a number, a decimal string, or money (`{"amount", "currency"}`); amounts of different currencies
    cannot be compared, which is a violation as well.
    """

    def rule(data: Any) -> Iterator[Violation]:
        carried = [(name, data[name]) for name in fields if isinstance(data, dict) and name in data]
        known = [(name, _amount(value), _currency(value)) for name, value in carried]
        for (low, less, first), (high, more, second) in pairwise(one for one in known if one[1] is not None):
            if first != second:
                text = f"{low} is in {first}, {high} in {second}: they cannot be compared."
                yield Violation(f"/{high}", "currency", text)
            elif less is not None and more is not None and less > more:
                yield Violation(f"/{low}", "ascending", f"{low} {less} is above {high} {more}.")

    return rule


def positive_when(field: str, value: Any, *counts: str) -> Rule:
    """A rule: where `field` has this value, the first of `counts` that is there is above zero; one has to be."""

    def rule(data: Any) -> Iterator[Violation]:
        if not isinstance(data, dict) or data.get(field) != value:
            return
        name = next((one for one in counts if one in data), counts[0])
        amount = _amount(data.get(name))
        if amount is None or amount <= 0:
            yield Violation(
                f"/{name}", "positive_when", f"{field} is {value!r}, but {name} is {data.get(name)!r}."
            )

    return rule


def not_in_the_future(*fields: str, clock: Clock = SYSTEM, tolerance: timedelta = TOLERANCE) -> Rule:
    """A rule: the times (RFC 3339) in these fields, as far as they are there, have come."""

    def rule(data: Any) -> Iterator[Violation]:
        for name in fields:
            at = _time(data.get(name)) if isinstance(data, dict) else None
            if at is not None and at > clock.now() + tolerance:
                yield Violation(f"/{name}", "not_in_the_future", f"{name} {data[name]} is in the future.")

    return rule


def each(field: str, *rules: Rule) -> Rule:
    """A rule: these rules hold for every element of the list in `field`."""

    def rule(data: Any) -> Iterator[Violation]:
        found = data.get(field) if isinstance(data, dict) else None
        for number, one in enumerate(found if isinstance(found, list) else ()):
            for broken in chain.from_iterable(check(one) for check in rules):
                yield msgspec.structs.replace(broken, pointer=f"/{field}/{number}{broken.pointer}")

    return rule


def _amount(value: Any) -> Decimal | None:
    plain = value.get("amount") if isinstance(value, dict) else value
    if isinstance(plain, bool) or not isinstance(plain, int | float | str):
        return None
    try:
        found = Decimal(str(plain))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _currency(value: Any) -> str | None:
    return str(value.get("currency")) if isinstance(value, dict) else None


def _time(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
