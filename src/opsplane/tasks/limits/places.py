"""The places that limits leave: how many are taken, and when the next task may start."""

from __future__ import annotations

from collections.abc import Iterable

from opsplane.tasks.limits.limit import EACH, Limit, Line

SPARE = 0.25  # seconds of a rate that may be made up for when the dispatcher was late


class Pace:
    """A rate as credit that grows with time (a token bucket): a start costs one, little is saved up."""

    def __init__(self, rate: int, per_seconds: float, now: float) -> None:
        self._speed = rate / per_seconds
        self._most = max(1.0, self._speed * SPARE)
        self._credit = 0.0
        self._at = now

    def ready(self, now: float) -> bool:
        """Whether one may start."""
        self._credit = min(self._most, self._credit + (now - self._at) * self._speed)
        self._at = now
        return self._credit >= 1.0

    def spend(self) -> None:
        """Count a start."""
        self._credit -= 1.0


class Place:
    """What one limit leaves of its places."""

    def __init__(self, limit: Limit, now: float) -> None:
        self.limit = limit
        self.taken = 0
        self._pace = Pace(limit.rate, limit.per_seconds, now) if limit.rate and limit.per_seconds else None

    def open(self, now: float) -> bool:
        """Whether one more task may be let go."""
        if self.limit.concurrency is not None and self.taken >= self.limit.concurrency:
            return False
        return self._pace is None or self._pace.ready(now)

    def start(self) -> None:
        """Count a task that is let go."""
        self.taken += 1
        if self._pace is not None:
            self._pace.spend()


class Places:
    """The places of all limits; each tenant has its own of the limit of every tenant."""

    def __init__(self, limits: Iterable[Limit] = (), now: float = 0.0) -> None:
        self.limits = tuple(limits)
        self._known: dict[tuple[str, str], Limit] = {(one.kind, one.name): one for one in self.limits}
        self._places: dict[tuple[str, str], Place] = {}
        self._now = now

    def of(self, line: Line) -> list[Place]:
        """The places a task of the line needs."""
        wanted = [("queue", line.queue), ("type", line.task_type), ("tenant", line.tenant)]
        return [place for kind, name in wanted if (place := self._place(kind, name)) is not None]

    def all(self) -> Iterable[Place]:
        """The places that were asked for."""
        return self._places.values()

    def taken(self) -> Iterable[tuple[Limit, int]]:
        """What is taken of each limit; of that of every tenant, by all together."""
        counts = dict.fromkeys(self._known, 0)
        for place in self._places.values():
            counts[place.limit.kind, place.limit.name] += place.taken
        return [(self._known[key], count) for key, count in counts.items()]

    def keep(self, before: Places) -> None:
        """Go on with the places of limits that did not change."""
        for key, place in before._places.items():
            limit = self._known.get(key) or (
                self._known.get(("tenant", EACH)) if key[0] == "tenant" else None
            )
            if limit == place.limit:
                self._places[key] = place

    def _place(self, kind: str, name: str) -> Place | None:
        place = self._places.get((kind, name))
        if place is None:
            limit = self._known.get((kind, name))
            if limit is None and kind == "tenant":
                limit = self._known.get((kind, EACH))
            if limit is None:
                return None
            place = self._places[kind, name] = Place(limit, self._now)
        return place
