"""What a limit is, and which tasks it is about."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

Kind = Literal["queue", "type", "tenant"]
EACH = "*"  # as the name of a tenant: each one that has no limit of its own, by itself


class NewLimit(msgspec.Struct, frozen=True, kw_only=True):
    """How many tasks of a queue, a type or a tenant run at once, across all workers, and how many start in a time.

    `rate` tasks start in `per_seconds`, evenly spaced; at least one of `concurrency` and `rate` is given.
    """

    kind: Kind
    name: str
    concurrency: int | None = None
    rate: int | None = None
    per_seconds: float | None = None


class Limit(NewLimit, frozen=True, kw_only=True):
    """A limit as it is kept."""

    updated_at: datetime
    updated_by: str


class LimitState(Limit, frozen=True, kw_only=True):
    """A limit, how many tasks have a place under it, and how many wait behind it, counted up to a number."""

    taken: int
    held: int


class Line(NamedTuple):
    """Tasks that the same limits are about."""

    queue: str
    tenant: str
    task_type: str


class Held(NamedTuple):
    """Whose tasks are held, as parameters of the dispatcher's statements."""

    queues: Collection[str]
    types: Collection[str]
    tenants: Collection[str]
    everyone: bool

    def parameters(self) -> dict[str, Any]:
        """The same for a statement."""
        return {
            "queues": sorted(self.queues),
            "types": sorted(self.types),
            "tenants": sorted(self.tenants),
            "everyone": self.everyone,
        }

    def __bool__(self) -> bool:
        """Whether any are."""
        return bool(self.queues or self.types or self.tenants or self.everyone)


def held_by(limits: Iterable[Limit], fair: Collection[str]) -> Held:
    """Whose tasks these limits and fair queues hold."""
    names: dict[str, set[str]] = {"queue": set(fair), "type": set(), "tenant": set()}
    for limit in limits:
        names[limit.kind].add(limit.name)
    tenants = names["tenant"] - {EACH}
    return Held(names["queue"], names["type"], tenants, EACH in names["tenant"])
