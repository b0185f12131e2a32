"""Named dependencies: what a handler calls outside of itself, and which call failed it."""

from __future__ import annotations

import re
from types import TracebackType

from opsplane.errors import InvalidInput, OpsplaneError

DATABASE = "database"  # the service's own: a lost connection to it needs no `ctx.dependency`
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


class UndeclaredDependency(OpsplaneError):
    """A handler called a dependency its consumer does not declare."""


class Calls:
    """The calls one run of a handler makes to the dependencies its consumer declares."""

    __slots__ = ("declared", "failed", "reached")

    def __init__(self, declared: tuple[str, ...]) -> None:
        self.declared = declared
        self.reached: list[str] | None = None
        self.failed: str | None = None

    def to(self, dependency: str) -> Call:
        """One call; raises `UndeclaredDependency`."""
        if dependency not in self.declared:
            raise undeclared(dependency)
        return Call(self, dependency)


class Call:
    """A call of a dependency: what is raised inside is attributed to it."""

    __slots__ = ("_calls", "_dependency")

    def __init__(self, calls: Calls, dependency: str) -> None:
        self._calls = calls
        self._dependency = dependency

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._calls.failed = self._calls.failed or self._dependency
        elif self._calls.reached is None:
            self._calls.reached = [self._dependency]
        elif self._dependency not in self._calls.reached:
            self._calls.reached.append(self._dependency)


def undeclared(dependency: str) -> UndeclaredDependency:
    """The error of a handler that calls what its consumer does not declare."""
    return UndeclaredDependency(
        f"The dependency {dependency} is not declared.",
        remedy=f'Declare it: @consumer(…, dependencies=("{dependency}",)).',
    )


def declared(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, each once; raises `InvalidInput` for one that cannot be a dependency's."""
    for name in names:
        if _NAME.fullmatch(name) is None:
            raise InvalidInput(
                f"{name!r} cannot name a dependency.", remedy="Use small letters, digits, '.', '_' and '-'."
            )
    return tuple(dict.fromkeys(names))
