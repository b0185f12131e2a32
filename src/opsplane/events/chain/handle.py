"""Handle: call the consumer under its deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from opsplane.events.chain.deadline import Deadlines, HandlerTimedOut
from opsplane.events.chain.work import Work
from opsplane.events.consumer import Consumer
from opsplane.events.context import AlreadyDone, BatchContext, Context, Service
from opsplane.events.dependencies import Calls
from opsplane.events.fence import Fence


class Effects:
    """Runs handlers of one service; with a `fence` their effects are an ordered group's."""

    def __init__(self, service: Service, deadlines: Deadlines) -> None:
        self._service = service
        self._deadlines = deadlines
        self.fence: Fence | None = None

    async def one(self, work: Work, calls: Calls | None = None) -> None:
        """Return when the event had its effect, now or before; raises what the handler raises."""
        consumer = work.consumer
        if consumer.batch is not None:
            await self.many(consumer, [work], calls)
            return
        context = Context(
            self._service, consumer.group, work.event, work.epoch, calls=calls, fence=self.fence
        )
        try:
            await self._timed(consumer.handler(work.event, context), consumer)
        except AlreadyDone:
            work.seen = True

    async def many(self, consumer: Consumer, works: Sequence[Work], calls: Calls | None = None) -> None:
        """Return when all events, of one epoch, had their effect; raises what the handler raises."""
        events = [work.event for work in works]
        context = BatchContext(self._service, consumer.group, events, works[0].epoch, calls=calls)
        await self._timed(consumer.handler(events, context), consumer)

    async def _timed(self, call: Awaitable[None], consumer: Consumer) -> None:
        lane = self._deadlines.lane()
        self._deadlines.start(lane, consumer.timeout)
        try:
            await call
        except asyncio.CancelledError:
            if self._deadlines.timed_out(lane):
                raise HandlerTimedOut(f"The handler did not return within {consumer.timeout:g} s.") from None
            raise
        finally:
            self._deadlines.end(lane)
