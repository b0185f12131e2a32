"""Consumers: what a service declares, and what its handlers are given."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

import msgspec

from opsplane.clock import Clock
from opsplane.database import Connection, Pool, sql
from opsplane.errors import InvalidInput, OpsplaneError
from opsplane.events.dependencies import Call, Calls, declared, undeclared
from opsplane.events.envelope import Event, new_event
from opsplane.events.fence import Fence
from opsplane.events.outbox import Outbox
from opsplane.events.tracing import begun, continued
from opsplane.resilience import Retry, seconds

Ordered = Literal["skip", "park"]
Handler = Callable[[Any, Any], Awaitable[None]]


class Reject(OpsplaneError):
    """Raised by a handler: this event can never be handled; it becomes a dead letter at once."""


class AlreadyDone(OpsplaneError):
    """The effect of this event is in the inbox already; the chain counts it as success."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """One subscription of a group, declared with `@consumer`; calling it calls the handler."""

    handler: Handler
    topics: tuple[str, ...]
    group: str
    retry: Retry
    timeout: float
    dead_letters: str | None
    batch: int | None
    concurrency: int
    data: Any = None
    dependencies: tuple[str, ...] = ()
    retries: Mapping[type[Exception], Retry | None] = field(default_factory=dict)
    recover: bool = False
    ordered: Ordered | None = None

    async def __call__(self, event: Any, context: Any) -> None:
        """Handle one event, or a list of them when declared with `batch`."""
        await self.handler(event, context)


def consumer(
    topic: str | Sequence[str],
    *,
    group: str,
    retry: Retry = Retry(3, "1s..30s"),  # noqa: B008  frozen
    timeout: str | float = "30s",
    dead_letters: str | None = None,
    batch: int | None = None,
    concurrency: int = 1,
    dependencies: Sequence[str] = (),
    retries: Mapping[type[Exception], Retry | None] | None = None,
    recover: bool = False,
    ordered: Ordered | None = None,
) -> Callable[[Handler], Consumer]:
    """Declare an async handler as consumer of a topic (or several) in `group`.

    `dead_letters` names the per-consumer stream `dlq:<name>`; with `batch` the handler gets a list of at most
    that many events and a `BatchContext`; `concurrency` handlers run side by side in one process. `timeout` is
    for one call of the handler. A first parameter annotated `Event[T]` (with `batch`: `list[Event[T]]`) gets its
    `data` as a `T`.

    In an `ordered` group one process reads for all and the events of a subject are handled in the stream's order; after
    a failed one the later either go on (`skip`) or wait until it has succeeded or was given up (`park`).

    `dependencies` names what the handler calls: while one of them is away the group stops reading and no event spends
    an attempt; with several, the handler says in `async with ctx.dependency(name)` which it calls. `retries` overrides
    what an error type is worth, None being the dead letters at once. With `recover` dead letters of timeouts and
    unavailability are replayed when a breaker of the group closes.
    """
    names, own = declared(tuple(dependencies)), dict(retries or {})
    if ordered and batch is not None:
        raise InvalidInput(
            f"A consumer of {group} is declared with both batch and ordered.",
            remedy="Events of an ordered group are handled one at a time: leave batch out.",
        )
    topics = (topic,) if isinstance(topic, str) else tuple(topic)

    def declare(handler: Handler) -> Consumer:
        limit, data = seconds(timeout), data_type(handler, many=batch is not None)
        return Consumer(
            handler,
            topics,
            group,
            retry,
            limit,
            dead_letters,
            batch,
            concurrency,
            data,
            names,
            own,
            recover,
            ordered,
        )

    return declare


def data_type(handler: Handler, *, many: bool) -> Any:
    """The `T` of a handler whose first parameter is an `Event[T]` or, with `many`, a list of them; None without."""
    first = next(iter(inspect.signature(handler).parameters.values()), None)
    annotation = first.annotation if first is not None else inspect.Parameter.empty
    if isinstance(annotation, str):
        try:
            annotation = eval(annotation, inspect.unwrap(handler).__globals__)  # noqa: S307  what typing.get_type_hints does
        except NameError as error:
            raise InvalidInput(
                f"The annotation {annotation} of {handler.__name__} cannot be resolved: {error}.",
                remedy="Import the classes it names where the module is run, not for type checking alone.",
            ) from error
    if many:
        annotation = next(iter(get_args(annotation)), None)
    found = next(iter(get_args(annotation)), None)
    return None if found is Any else found


@dataclass(frozen=True, slots=True)
class Service:
    """What a group's handlers work with: the owning service's database, outbox and the clock."""

    name: str
    pool: Pool
    outbox: Outbox
    clock: Clock


class Context:
    """What a handler of one event is given."""

    __slots__ = ("_fence", "_service", "calls", "epoch", "event", "group")

    def __init__(
        self,
        service: Service,
        group: str,
        event: Event[Any],
        epoch: int = 0,
        calls: Calls | None = None,
        fence: Fence | None = None,
    ) -> None:
        self._service = service
        self._fence = fence
        self.group = group
        self.event = event
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


class BatchContext:
    """What a handler of several events is given."""

    __slots__ = ("_service", "calls", "epoch", "events", "group")

    def __init__(
        self,
        service: Service,
        group: str,
        events: Sequence[Event[Any]],
        epoch: int = 0,
        calls: Calls | None = None,
    ) -> None:
        self._service = service
        self.group = group
        self.events = events
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
