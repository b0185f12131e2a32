"""What every group does with the entries it has read: decode and check them, run the handlers, settle what came of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import groupby

from opsplane.errors import InvalidInput
from opsplane.events.chain import (
    Deadlines,
    Effects,
    Settler,
    Work,
    decode_work,
    is_unavailable,
    refuse_expired,
    validate_work,
)
from opsplane.events.consumer import Consumer
from opsplane.events.context import Service
from opsplane.events.epochs import Epochs
from opsplane.events.personal import Personal
from opsplane.events.schemas import Schemas
from opsplane.resilience import Stop
from opsplane.telemetry import get_logger

log = get_logger("events")


class Handling:
    """The handlers of one group and the steps before and after them."""

    def __init__(self, consumers: Sequence[Consumer], service: Service, schemas: Schemas) -> None:
        self.group = consumers[0].group
        self.consumers = by_topic(consumers)
        self.concurrency = max(consumer.concurrency for consumer in consumers)
        self.clock = service.clock
        self.deadlines = Deadlines()
        self.effects = Effects(service, self.deadlines)
        self.personal = Personal(schemas)
        self.epochs = Epochs()
        self._schemas = schemas

    @property
    def topics(self) -> list[str]:
        """Every topic the group reads."""
        return sorted(self.consumers)

    async def prepare(self, work: Work, settler: Settler) -> bool:
        """Whether the entry can be decoded and is fit for its handler; when not, it is settled."""
        try:
            self.decode(work)
        except Exception as error:  # noqa: BLE001  whatever is wrong with an entry, it is settled with its reason
            await settler.fail(work, error, 0.0)
            return False
        return await self.check(work, settler)

    def decode(self, work: Work) -> None:
        """Give the work its epoch, its event and consumer; raises what makes that impossible."""
        if self.epochs:
            work.epoch = self.epochs.of(work.topic, work.history.get("sourceId", work.entry.id))
        decode_work(work, self.consumers)

    async def check(self, work: Work, settler: Settler) -> bool:
        """Whether a decoded entry is fit for its handler; when not, it is settled."""
        try:
            refuse_expired(work, self.clock.now())
            validate_work(work, self._schemas)
        except Exception as error:  # noqa: BLE001  whatever is wrong with an entry, it is settled with its reason
            await settler.fail(work, error, 0.0)
            return False
        return True

    async def run(self, works: Sequence[Work], settler: Settler, stop: Stop | None) -> None:
        """Handle and settle the entries one after the other, batches together; `stop` leaves the rest."""
        lane = self.deadlines.lane()
        try:
            for (consumer, _), together in groupby(works, key=lambda work: (work.consumer, work.epoch)):
                if consumer.batch is None:
                    for work in together:
                        if stop is not None and stop.is_set():
                            return
                        await self.one(work, settler)
                else:
                    await self._batches(consumer, list(together), settler, stop)
        finally:
            self.deadlines.release(lane)

    async def one(self, work: Work, settler: Settler) -> None:
        """Handle and settle one entry."""
        started = time.perf_counter()
        try:
            await self.effects.one(work)
        except Exception as error:  # noqa: BLE001  every error of a handler is classified and settled
            await settler.fail(work, error, time.perf_counter() - started)
        else:
            await settler.succeed(work)

    async def _batches(
        self, consumer: Consumer, works: list[Work], settler: Settler, stop: Stop | None
    ) -> None:
        size = consumer.batch or 1
        for first in range(0, len(works), size):
            if stop is not None and stop.is_set():
                return
            await self._batch(consumer, works[first : first + size], settler)

    async def _batch(self, consumer: Consumer, batch: list[Work], settler: Settler) -> None:
        """All together; when that fails and not because something is unavailable, each alone."""
        started = time.perf_counter()
        try:
            await self.effects.many(consumer, batch)
        except Exception as error:  # noqa: BLE001  every error of a handler is classified and settled
            if len(batch) == 1 or is_unavailable(error):
                for work in batch:
                    await settler.fail(work, error, time.perf_counter() - started)
                return
            log.info("events.batch_split", group=self.group, size=len(batch), error=type(error).__name__)
            for work in batch:
                await self.one(work, settler)
        else:
            for work in batch:
                await settler.succeed(work)


def by_topic(consumers: Sequence[Consumer]) -> dict[str, Consumer]:
    """The consumers of one group by topic; raises `InvalidInput` where two claim one."""
    found: dict[str, Consumer] = {}
    for consumer in consumers:
        for topic in consumer.topics:
            if topic in found or consumer.group != consumers[0].group:
                raise InvalidInput(
                    f"{topic} is consumed twice in group {consumer.group}.",
                    remedy="Use one consumer, or another group.",
                )
            found[topic] = consumer
    return found
