"""Consumers: what a service declares."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from opsplane.errors import InvalidInput, OpsplaneError
from opsplane.events.dependencies import declared
from opsplane.resilience import Retry, seconds

Ordered = Literal["skip", "park"]
Handler = Callable[[Any, Any], Awaitable[None]]


class Reject(OpsplaneError):
    """Raised by a handler: this event can never be handled; it becomes a dead letter at once."""


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
