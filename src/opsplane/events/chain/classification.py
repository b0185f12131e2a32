"""What an error means for the event: another try, and when, or the dead letters."""

from __future__ import annotations

from typing import NamedTuple

import psycopg

from opsplane.errors import Conflict, Denied, InvalidInput, NotFound, Unauthenticated, Unavailable
from opsplane.events.chain.deadline import HandlerTimedOut
from opsplane.events.chain.expire import Expired
from opsplane.events.consumer import Reject
from opsplane.events.envelope import Undecodable
from opsplane.resilience import Retry

UNAVAILABLE_RETRY = Retry(12, "500ms..30s")  # a dependency that restarts must not cost events


class Verdict(NamedTuple):
    """The class of an error and the retries it is worth."""

    reason: str
    retry: Retry | None


_DEAD: tuple[tuple[type[Exception], str], ...] = (
    (Reject, "rejected"),
    (Expired, "expired"),
    (Undecodable, "undecodable"),
    (InvalidInput, "validation"),
    (NotFound, "not_found"),
    (Denied, "authorization"),
    (Unauthenticated, "authorization"),
)


def is_unavailable(error: Exception) -> bool:
    """Whether a dependency was missing, so that other events would fail alike."""
    return isinstance(
        error, Unavailable | ConnectionError | psycopg.OperationalError | psycopg.InterfaceError
    )


def classify(error: Exception, declared: Retry) -> Verdict:
    """The verdict on an error of a consumer that declared these retries; without any declared, none are made."""
    for kind, reason in _DEAD:
        if isinstance(error, kind):
            return Verdict(reason, None)
    if isinstance(error, HandlerTimedOut | TimeoutError):
        return Verdict("timeout", declared)
    if is_unavailable(error):
        return Verdict("unavailable", UNAVAILABLE_RETRY if declared.attempts else declared)
    if isinstance(error, Conflict):
        return Verdict("conflict", Retry(min(1, declared.attempts), declared.backoff))
    return Verdict("internal", Retry(min(1, declared.attempts), declared.backoff))
