"""What the handlers of consumers are given: their event, its effect once, what they publish."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from opsplane.clock import Clock
from opsplane.database import Connection, Pool, sql
from opsplane.errors import OpsplaneError
from opsplane.events.dependencies import Call, Calls, undeclared
from opsplane.events.envelope import Event, new_event
from opsplane.events.fence import Fence
from opsplane.events.outbox import Outbox
from opsplane.events.tracing import begun, continued


class AlreadyDone(OpsplaneError):
    """The effect of this event is in the inbox already; the chain counts it as success."""


@dataclass(frozen=True, slots=True)
class Service:
    """What a group's handlers work with: the owning service's database, outbox and the clock."""

    name: str
    pool: Pool
    outbox: Outbox
    clock: Clock


class _Given:
    """What handlers of one event and of several are given alike."""

    __slots__ = ("_service", "calls", "epoch", "group")

    def __init__(self, service: Service, group: str, epoch: int, calls: Calls | None) -> None:
        self._service = service
        self.group = group
        self.epoch = epoch
        self.calls = calls

    @property
    def pool(self) -> Pool:
        """The service's database."""
        return self._service.pool

    @property
    def clock(self) -> Clock:
        """The time."""
        return self._service.clock

    def dependency(self, name: str) -> Call:
        """`async with` around a call of a named dependency: what fails inside is attributed to it."""
        if self.calls is None:
            raise undeclared(name)
        return self.calls.to(name)


class Context(_Given):
    """What a handler of one event is given."""

    __slots__ = ("_fence", "event")

    def __init__(
        self,
        service: Service,
        group: str,
        event: Event[Any],
        epoch: int = 0,
        calls: Calls | None = None,
        fence: Fence | None = None,
    ) -> None:
        super().__init__(service, group, epoch, calls)
        self._fence = fence
        self.event = event

    @asynccontextmanager
    async def once(self) -> AsyncIterator[Connection]:
        """A transaction that holds the inbox row of this event: what is done in it is done once.

        Raises `AlreadyDone` when the effect was committed before, in an ordered group `Deposed` when another process
        leads it by now; let both pass.
        """
        async with self.pool.transaction() as tx:
            if self._fence is not None:
                await self._fence.hold(tx)
            if not await claim_effects(tx, self.group, self.epoch, [self.event]):
                raise AlreadyDone(f"{self.event.type} {self.event.id} was handled by {self.group} before.")
            yield tx

    async def publish(
        self,
        tx: Connection,
        topic: str,
        data: Any,
        *,
        subject: str | None = None,
        id: str | None = None,  # noqa: A002  the envelope's own name
        deliver_at: datetime | None = None,
    ) -> None:
        """Publish an event caused by this one, in `tx`, through the outbox; it continues the trace.

        With `deliver_at` it is put on its topic then.
        """
        await publish_caused(
            self._service.outbox,
            tx,
            topic,
            data,
            subject=subject,
            id=id,
            trace=_trace(self.event),
            deliver_at=deliver_at,
        )


class BatchContext(_Given):
    """What a handler of several events is given."""

    __slots__ = ("events",)

    def __init__(
        self,
        service: Service,
        group: str,
        events: Sequence[Event[Any]],
        epoch: int = 0,
        calls: Calls | None = None,
    ) -> None:
        super().__init__(service, group, epoch, calls)
        self.events = events

    @asynccontextmanager
    async def once(self) -> AsyncIterator[tuple[Connection, list[Event[Any]]]]:
        """A transaction that holds the inbox rows, and those of the events whose effect is not there yet."""
        async with self.pool.transaction() as tx:
            yield tx, await claim_effects(tx, self.group, self.epoch, self.events)

    async def publish(
        self,
        tx: Connection,
        topic: str,
        data: Any,
        *,
        subject: str | None = None,
        id: str | None = None,  # noqa: A002  the envelope's own name
        deliver_at: datetime | None = None,
        cause: Event[Any] | None = None,
    ) -> None:
        """Publish an event in `tx` through the outbox, now or at `deliver_at`; it continues the trace of its `cause`."""
        await publish_caused(
            self._service.outbox,
            tx,
            topic,
            data,
            subject=subject,
            id=id,
            trace=begun() if cause is None else _trace(cause),
            deliver_at=deliver_at,
        )


def _trace(cause: Event[Any]) -> str:
    return continued(cause.traceparent, cause.source, cause.id)


async def publish_caused(
    outbox: Outbox,
    tx: Connection,
    topic: str,
    data: Any,
    *,
    subject: str | None,
    id: str | None,  # noqa: A002  the envelope's own name
    trace: str | None,
    deliver_at: datetime | None = None,
) -> None:
    """Publish `data` (a Struct or JSON value) as an event of `outbox`'s service."""
    event = new_event(
        topic, msgspec.to_builtins(data), source=outbox.source, subject=subject, id=id, traceparent=trace
    )
    await outbox.publish(tx, event, deliver_at=deliver_at)


async def claim_effects(
    tx: Connection, group: str, epoch: int, events: Sequence[Event[Any]]
) -> list[Event[Any]]:
    """The events, of those given, whose inbox row was written now; each once, in order."""
    rows = await tx.execute(
        sql(__package__, "insert_inbox"),
        [group, epoch, [event.source for event in events], [event.id for event in events]],
    )
    fresh = {(row["source"], row["event_id"]) for row in await rows.fetchall()}
    claimed = []
    for event in events:
        if (event.source, event.id) in fresh:
            fresh.discard((event.source, event.id))
            claimed.append(event)
    return claimed
