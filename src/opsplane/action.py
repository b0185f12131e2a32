"""An operator's action, written once: the CLI command, the API call and the console button are made from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from opsplane.errors import Denied

C = TypeVar("C")
P = TypeVar("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: the verified subject and the roles it holds."""

    sub: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Preview:
    """What an action would do: one sentence, how many things it touches and a sample of them."""

    summary: str
    count: int = 0
    sample: Sequence[Mapping[str, Any]] = field(default_factory=tuple)


class Audit(Protocol):
    """Where a performed action is written down."""

    async def __call__(
        self, actor: Actor, action: str, parameters: Mapping[str, Any], reason: str | None, outcome: str
    ) -> None:
        """Append one entry."""
        ...


@dataclass(frozen=True, slots=True)
class Action(Generic[C, P, R]):
    """A named repair: who may do it, what it needs, what it would do, and doing it.

    `parameters` is a frozen msgspec Struct; `context` is whatever the room needs (a pool, a broker).
    """

    name: str
    role: str
    summary: str
    parameters: type[P]
    preview: Callable[[C, P], Awaitable[Preview]]
    apply: Callable[[C, P], Awaitable[R]]
    dangerous: bool = False

    def allow(self, actor: Actor) -> None:
        """Return when `actor` may perform this; raise `Denied` otherwise."""
        if self.role not in actor.roles and "admin" not in actor.roles:
            raise Denied(
                f"{self.name} needs the role {self.role}; {actor.sub} has {', '.join(sorted(actor.roles)) or 'none'}.",
                action=self.name,
            )


async def perform(
    action: Action[C, P, R],
    context: C,
    parameters: P,
    *,
    actor: Actor,
    audit: Audit,
    reason: str | None = None,
) -> R:
    """The action's result, after checking the actor's role and with the outcome in the audit log.

    Parameters some of which are not for the audit log have a method `audited` that gives the others.
    """
    action.allow(actor)
    if hasattr(parameters, "audited"):
        facts = parameters.audited()
    else:
        facts = {name: getattr(parameters, name) for name in getattr(parameters, "__struct_fields__", ())}
    try:
        result = await action.apply(context, parameters)
    except BaseException as error:
        await audit(actor, action.name, facts, reason, f"failed: {type(error).__name__}")
        raise
    await audit(actor, action.name, facts, reason, "done")
    return result
