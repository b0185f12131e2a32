"""Settling in order: what was noted is written before a failure is, and nothing once another leads."""

from __future__ import annotations

import asyncio

from opsplane.clock import Clock
from opsplane.events.chain import Settler, Work
from opsplane.events.fence import Deposed, Fence
from opsplane.events.ordered.books import Books
from opsplane.events.personal import Personal


class OrderedSettler(Settler):
    """One for all lanes of a leader, so that what is settled first is written first."""

    def __init__(
        self, books: Books, group: str, leader: str, clock: Clock, personal: Personal, fence: Fence
    ) -> None:
        super().__init__(books, group, leader, clock, personal)
        self._fence = fence
        self._flushing = asyncio.Lock()

    async def succeed(self, work: Work) -> None:
        """Note success, unless an effect was refused and the handler has made light of it."""
        self._fence.check()
        await super().succeed(work)

    async def fail(self, work: Work, error: Exception, seconds: float, *, attributed: bool = False) -> None:
        """Schedule or bury; being deposed is no failure of the event."""
        if isinstance(error, Deposed):
            raise error
        self._fence.check()
        await self.flush()
        await super().fail(work, error, seconds, attributed=attributed)

    async def poison(self, work: Work, starts: int) -> None:
        """Bury an entry that ends processes."""
        await self.flush()
        await super().poison(work, starts)

    async def flush(self) -> None:
        """Return when everything noted so far is written, also what another lane is writing just now."""
        async with self._flushing:
            await super().flush()
