"""Expire: an event past its `expiration` goes to the dead letters, not to nowhere."""

from __future__ import annotations

from datetime import datetime

from opsplane.errors import OpsplaneError
from opsplane.events.chain.work import Work


class Expired(OpsplaneError):
    """The event's `expiration` had passed before it was handled."""


def refuse_expired(work: Work, now: datetime) -> None:
    """Return unless the event has expired; raises `Expired`."""
    expiration = work.event.expiration
    if expiration is not None and expiration <= now:
        raise Expired(f"{work.event.type} {work.event.id} expired at {expiration.isoformat()}.")
