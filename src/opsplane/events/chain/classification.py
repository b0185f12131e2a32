"""What an error means for the event: another try, and when, or the dead letters."""

from __future__ import annotations

import sys
from typing import NamedTuple

import psycopg
from psycopg import errors as postgres

from opsplane.database import DatabaseUnavailable
from opsplane.errors import (
    Conflict,
    Denied,
    InvalidInput,
    NotFound,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from opsplane.events.chain.deadline import HandlerTimedOut
from opsplane.events.chain.expire import Expired
from opsplane.events.consumer import Consumer, Reject
from opsplane.events.envelope import Undecodable
from opsplane.resilience import Retry

UNAVAILABLE_RETRY = Retry(12, "500ms..30s")  # where no breaker holds the events of a dependency that restarts


class Verdict(NamedTuple):
    """The class of an error, the retries it is worth, and how long the next one must wait at least."""

    reason: str
    retry: Retry | None
    after: float = 0.0

    def delay(self, attempt: int) -> float | None:
        """Seconds to wait after failed attempt number `attempt`; None when there is no retry left."""
        delay = self.retry.delay(attempt) if self.retry else None
        return None if delay is None else max(delay, self.after)


_DEAD: tuple[tuple[type[Exception], str], ...] = (
    (Reject, "rejected"),
    (Expired, "expired"),
    (Undecodable, "undecodable"),
    (InvalidInput, "validation"),
    (NotFound, "not_found"),
    (Denied, "authorization"),
    (Unauthenticated, "authorization"),
)
_ROLLED_BACK = (postgres.DeadlockDetected, postgres.SerializationFailure, postgres.LockNotAvailable)


def is_timeout(error: Exception) -> bool:
    """Whether something did not answer in time."""
    return isinstance(error, HandlerTimedOut | TimeoutError | postgres.QueryCanceled) or _of_httpx(
        error, "TimeoutException"
    )


def is_unavailable(error: Exception) -> bool:
    """Whether a dependency was missing, so that other events would fail alike."""
    return (
        isinstance(error, Unavailable | ConnectionError)
        or lost_database(error)
        or _of_httpx(error, "TransportError")
    )


def lost_database(error: Exception) -> bool:
    """Whether the connection to PostgreSQL was lost or could not be had."""
    if isinstance(error, _ROLLED_BACK):
        return False
    return isinstance(error, DatabaseUnavailable | psycopg.OperationalError | psycopg.InterfaceError)


def classify(error: Exception, consumer: Consumer | None, *, attributed: bool = False) -> Verdict:
    """The verdict on an error of a consumer (None where none took the event).

    `attributed` says that it is a named dependency's, for which a breaker holds events back. A consumer declared
    without retries makes none, unless its `retries` say so for this type of error.
    """
    declared = consumer.retry if consumer is not None else Retry(0)
    verdict = _classify(error, declared, attributed)
    if consumer is not None and consumer.retries:
        for kind in type(error).__mro__:
            if kind in consumer.retries:
                return verdict._replace(retry=consumer.retries[kind])
    return verdict


def _classify(error: Exception, declared: Retry, attributed: bool) -> Verdict:
    for kind, reason in _DEAD:
        if isinstance(error, kind):
            return Verdict(reason, None)
    if isinstance(error, RateLimited):
        return Verdict("rate_limited", declared, error.retry_after or 0.0)
    if is_timeout(error):
        return Verdict("timeout", declared)
    if is_unavailable(error):
        return Verdict("unavailable", declared if attributed or not declared.attempts else UNAVAILABLE_RETRY)
    if isinstance(error, _ROLLED_BACK):
        return Verdict("conflict", declared)
    once = Retry(min(1, declared.attempts), declared.backoff)
    return Verdict("conflict" if isinstance(error, Conflict) else "internal", once)


def _of_httpx(error: Exception, name: str) -> bool:
    """Whether it is one of httpx's errors; a handler that does not use httpx never has it imported for this."""
    httpx = sys.modules.get("httpx")
    return httpx is not None and isinstance(error, getattr(httpx, name))
