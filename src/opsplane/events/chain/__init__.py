"""The steps every event passes on its way to a handler, one file each."""

from __future__ import annotations

from opsplane.events.chain.classification import is_timeout, is_unavailable, lost_database
from opsplane.events.chain.deadline import Deadlines, HandlerTimedOut
from opsplane.events.chain.decode import decode_work
from opsplane.events.chain.deduplicate import mark_seen
from opsplane.events.chain.expire import Expired, refuse_expired
from opsplane.events.chain.handle import Effects
from opsplane.events.chain.settle import Settler
from opsplane.events.chain.validate import validate_work
from opsplane.events.chain.work import Work

__all__ = [
    "Deadlines",
    "Effects",
    "Expired",
    "HandlerTimedOut",
    "Settler",
    "Work",
    "decode_work",
    "is_timeout",
    "is_unavailable",
    "lost_database",
    "mark_seen",
    "refuse_expired",
    "validate_work",
]
