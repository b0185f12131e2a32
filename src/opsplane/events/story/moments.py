"""What a story is made of."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class Moment(msgspec.Struct, frozen=True):
    """One thing that happened: when, what, where, and what else is known of it."""

    at: datetime
    what: str
    where: str
    detail: dict[str, Any] = {}


class GroupState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one entry in one group.

    `state` is one of: not delivered, pending, waiting (for its retry), parked (behind a failed event of its
    subject), dead letter, acknowledged.
    """

    group: str
    topic: str
    state: str
    entry: str | None = None
    consumer: str | None = None
    idle_seconds: float | None = None
    deliveries: int | None = None
    until: datetime | None = None
    done_at: datetime | None = None
    dead_letter: int | None = None


class Found(msgspec.Struct, frozen=True):
    """An event as it was published, personal data masked, and where copies of it stand."""

    id: str
    topic: str
    event: Any
    places: list[str]
    missing: list[str]


class Story(msgspec.Struct, frozen=True):
    """Everything in time order; `missing` says what could not be asked and why."""

    id: str
    source: str
    topic: str
    trace: str
    moments: list[Moment]
    groups: list[GroupState]
    missing: list[str]
