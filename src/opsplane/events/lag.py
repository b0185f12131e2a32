"""How far groups are behind, since when, and whether they catch up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from opsplane.events.broker import Broker
from opsplane.events.inspect import GroupOnTopic, list_topics
from opsplane.events.streams import number

STEADY = 0.5  # events a second; a smaller change is none


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """A group on a topic: `lag` events it was not given, `pending` it has not finished, `oldest_seconds` the age of the
    oldest of both; `trend` (growing, shrinking, steady, none) by `per_second`, the change of the lag while watched;
    `seconds_left` until it has caught up at that rate.
    """

    group: str
    topic: str
    lag: int
    pending: int
    oldest_seconds: float | None
    trend: str
    per_second: float
    seconds_left: float | None


async def lags(
    broker: Broker, groups: Sequence[str] = (), only: Sequence[str] = (), watch: float = 1.0
) -> list[Lag]:
    """The lag of every group, or of some, on every topic, or on some; watched for `watch` seconds."""
    first, started = await _look(broker, groups, only), time.monotonic()
    await asyncio.sleep(watch)
    second, elapsed = await _look(broker, groups, only), time.monotonic() - started
    return [
        await _lag(broker, topic, facts, (facts.lag - first[topic, group].lag) / elapsed)
        for (topic, group), facts in sorted(second.items())
        if (topic, group) in first
    ]


async def _look(
    broker: Broker, groups: Sequence[str], only: Sequence[str]
) -> dict[tuple[str, str], GroupOnTopic]:
    return {
        (topic.topic, group.group): group
        for topic in await list_topics(broker, only)
        for group in topic.groups
        if not groups or group.group in groups
    }


async def _lag(broker: Broker, topic: str, facts: GroupOnTopic, per_second: float) -> Lag:
    trend = "growing" if per_second > STEADY else "shrinking" if per_second < -STEADY else "steady"
    return Lag(
        group=facts.group,
        topic=topic,
        lag=facts.lag,
        pending=facts.pending,
        oldest_seconds=await _oldest(broker, topic, facts),
        trend=trend if facts.lag or trend != "steady" else "none",
        per_second=round(per_second, 1),
        seconds_left=round(facts.lag / -per_second, 1) if facts.lag and trend == "shrinking" else None,
    )


async def _oldest(broker: Broker, topic: str, facts: GroupOnTopic) -> float | None:
    ids: list[Any] = []
    if facts.lag:
        ids += [
            entry[0] for entry in await broker.call("XRANGE", topic, f"({facts.delivered}", "+", "COUNT", "1")
        ]
    if facts.pending:
        ids.append((await broker.call("XPENDING", topic, facts.group))[1])
    at = [number(one.decode())[0] / 1000 for one in ids if one]
    return round(datetime.now(UTC).timestamp() - min(at), 1) if at else None
