"""All breakers as operators see them."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import msgspec

from opsplane.database import Pool, sql
from opsplane.events.backbone import ROOM
from opsplane.events.broker import Broker
from opsplane.events.brokers.keys import BREAKERS
from opsplane.resilience import Condition


class BreakerState(msgspec.Struct, frozen=True, rename="camel"):
    """A breaker: `since` when it is so, `until` when it probes next, `openings` in a row, the failure that opened it.

    `held_by` and `reason` are there while an operator holds it open.
    """

    name: str
    group: str
    dependency: str
    state: str
    since: datetime | None
    until: datetime | None
    openings: int
    probes: int
    failure: str
    held_by: str | None = None
    reason: str | None = None


async def conditions(broker: Broker) -> dict[str, Condition]:
    """What every breaker that was ever declared is in, by its name; an unreadable one counts as closed."""
    found = await broker.call("HGETALL", BREAKERS)
    return {name.decode(): _condition(text) for name, text in zip(found[::2], found[1::2], strict=True)}


async def list_breakers(broker: Broker, pool: Pool) -> list[BreakerState]:
    """Every breaker, by name."""
    holds = {row["breaker"]: row for row in await pool.fetch(sql(ROOM, "list_breaker_holds"))}
    known = {**dict.fromkeys(holds, Condition()), **await conditions(broker)}
    found = []
    for name, condition in sorted(known.items()):
        hold = holds.get(name)
        group, _, dependency = name.rpartition(":")
        state = "open" if hold else condition.phase(time.time())
        until = condition.until if state == "open" and not hold else 0.0
        found.append(
            BreakerState(
                name, group, dependency, state,
                hold["held_at"] if hold and not condition.opened else _at(condition.since), _at(until),
                condition.openings, condition.probes, condition.failure if condition.opened else "",
                hold["held_by"] if hold else None, hold["reason"] if hold else None,
            )
        )  # fmt: skip
    return found


def _condition(text: bytes) -> Condition:
    try:
        return msgspec.json.decode(text, type=Condition)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return Condition()


def _at(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
