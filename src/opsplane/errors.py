"""The root of every error opsplane raises on purpose."""

from __future__ import annotations

from typing import Any


class OpsplaneError(Exception):
    """A fact that stopped the work, with the remedy where one is known.

    `message` says what happened and where, `remedy` what to do (a command where there is one); every
    other keyword becomes an attribute and a field of the log event and of the problem+json answer.
    Subclasses are named after the fact and may set `status`, the HTTP status they are answered with.
    """

    status: int = 500

    def __init__(self, message: str, *, remedy: str | None = None, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.facts = facts

    def __getattr__(self, name: str) -> Any:
        facts = self.__dict__.get("facts", {})
        if name in facts:
            return facts[name]
        raise AttributeError(f"{type(self).__name__} has no fact {name!r}")

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}" if self.remedy else self.message


class InvalidInput(OpsplaneError):
    """What was given cannot be used; `violations` lists every reason with its place."""

    status = 400

    def __init__(
        self,
        message: str,
        *,
        violations: list[dict[str, Any]] | None = None,
        remedy: str | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(message, remedy=remedy, **facts)
        self.violations = violations or []


class NotFound(OpsplaneError):
    """The named thing does not exist, or the caller may not know that it does."""

    status = 404


class Conflict(OpsplaneError):
    """The state of the thing forbids the change; nothing was changed."""

    status = 409


class Denied(OpsplaneError):
    """The caller is known but may not do this."""

    status = 403


class Unauthenticated(OpsplaneError):
    """The caller could not be identified."""

    status = 401


class Unavailable(OpsplaneError):
    """A dependency cannot be reached right now; trying again later may succeed."""

    status = 503


class RateLimited(OpsplaneError):
    """A dependency was asked too often; `retry_after` says in how many seconds it may be asked again, where known."""

    status = 429

    def __init__(
        self, message: str, *, retry_after: float | None = None, remedy: str | None = None, **facts: Any
    ) -> None:
        super().__init__(message, remedy=remedy, **facts)
        self.retry_after = retry_after
