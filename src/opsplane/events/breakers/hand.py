"""What a consumer holds: entries it was given and has not settled, in the order it was given them."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from operator import attrgetter

from opsplane.events.chain import Settler, Work
from opsplane.events.consumer import Consumer
from opsplane.resilience import Stop

More = Callable[
    [int, float], Awaitable[list[Work]]
]  # at most so many new entries, waiting so long for the first
_KIND = attrgetter("consumer", "epoch")  # what one call of a handler has in common


class Unit:
    """One call of a handler: an entry, or the batch it gets. `tries` counts its failures, the rest tells of the last."""

    __slots__ = ("blamed", "consumer", "due", "error", "failed_at", "number", "seconds", "tries", "works")

    def __init__(self, number: int, works: list[Work]) -> None:
        self.number = number
        self.works = works
        self.consumer: Consumer = works[0].consumer
        self.tries = 0
        self.blamed: str | None = None
        self.error: Exception
        self.failed_at: float
        self.seconds: float
        self.due: float


class Hand:
    """`ready` is to be run in order; `suspects` failed for a dependency, or by their own fault: others will tell."""

    def __init__(self, settler: Settler, stop: Stop, more: More | None) -> None:
        self.settler = settler
        self.stop = stop
        self.more = more
        self.ready: deque[Unit] = deque()
        self.suspects: list[Unit] = []
        self.uncounted = False
        self.hold_at = 0.0
        self._number = 0

    @property
    def units(self) -> list[Unit]:
        """Everything held that does not run now."""
        return [*self.ready, *self.suspects]

    def add(self, works: Sequence[Work]) -> None:
        """Hold these as well; those of a consumer that takes batches are put together."""
        for (consumer, _), run in groupby(works, key=_KIND):
            together = list(run)
            size = consumer.batch or 1
            for first in range(0, len(together), size):
                self._number += 1
                self.ready.append(Unit(self._number, together[first : first + size]))

    def split(self, unit: Unit) -> list[Unit]:
        """A batch as units of one entry each, in its place."""
        return [Unit(unit.number, [work]) for work in unit.works]

    def put_back(self, *units: Unit) -> None:
        """Hold units that were taken out again, each in its place."""
        if units:
            self.ready = deque(sorted([*self.ready, *units], key=lambda unit: unit.number))

    def recall(self) -> None:
        """Suspects are to be run again."""
        if self.suspects:
            suspects, self.suspects = self.suspects, []
            self.put_back(*suspects)

    def take(self, shut: frozenset[str]) -> deque[Unit]:
        """What can be run: all that is ready, but for the units that need a dependency in `shut`."""
        if not shut:
            taken, self.ready = self.ready, deque()
            return taken
        free = deque(unit for unit in self.ready if shut.isdisjoint(unit.consumer.dependencies))
        self.ready = deque(unit for unit in self.ready if not shut.isdisjoint(unit.consumer.dependencies))
        return free

    def take_for(self, dependency: str, *, least_tried: bool = False) -> Unit | None:
        """The first that needs the dependency, or of those tried least often the first."""
        needing = [unit for unit in self.ready if dependency in unit.consumer.dependencies]
        if not needing:
            return None
        found = min(needing, key=lambda unit: unit.tries) if least_tried else needing[0]
        self.ready.remove(found)
        return found
