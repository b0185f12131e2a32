"""Taking over what a dead consumer left: its entries, one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opsplane.events.broker import Delivered
from opsplane.events.brokers import keys
from opsplane.events.brokers.entries import delivered
from opsplane.events.brokers.resp import Connection
from opsplane.telemetry import get_logger

log = get_logger("events")
_UNTOUCHED_MS = "500"  # who claims an entry resets its idle time, so that of two claimants only one gets it
_GONE_MS = 3600_000


class Recovery:
    """Finds consumers without a lease and hands their entries over."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def dead_consumers(self, group: str, streams: Sequence[str]) -> list[str]:
        """Names of consumers that hold entries and whose lease has run out."""
        holding = {facts["name"] for _, facts in await self._consumers(group, streams) if facts["pending"]}
        return await self._without_lease(group, holding)

    async def claim_one(
        self, group: str, consumer: str, dead: str, streams: Sequence[str]
    ) -> Delivered | None:
        """The oldest entry `dead` holds on any of the streams, and nobody else has claimed meanwhile."""
        for stream in streams:
            entry = await self._claim(group, consumer, dead, stream)
            if entry is not None:
                return entry
        return None

    async def forget(self, group: str, streams: Sequence[str]) -> int:
        """Remove consumers that hold nothing, have no lease and have not asked for an hour."""
        idle = [
            (stream, facts["name"])
            for stream, facts in await self._consumers(group, streams)
            if not facts["pending"] and facts["idle"] > _GONE_MS
        ]
        gone = set(await self._without_lease(group, {name for _, name in idle}))
        commands = [("XGROUP", "DELCONSUMER", stream, group, name) for stream, name in idle if name in gone]
        if commands:
            await self._connection.pipeline(commands, errors=False)
        return len(commands)

    async def _consumers(self, group: str, streams: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
        replies = await self._connection.pipeline(
            [("XINFO", "CONSUMERS", stream, group) for stream in streams], errors=False
        )
        return [
            (stream, _facts(consumer))
            for stream, reply in zip(streams, replies, strict=True)
            if isinstance(reply, list)  # an error says that the stream or the group is not there
            for consumer in reply
        ]

    async def _without_lease(self, group: str, names: set[str]) -> list[str]:
        if not names:
            return []
        ordered = sorted(names)
        alive = await self._connection.pipeline([("EXISTS", keys.lease(group, name)) for name in ordered])
        return [name for name, lives in zip(ordered, alive, strict=True) if not lives]

    async def _claim(self, group: str, consumer: str, dead: str, stream: str) -> Delivered | None:
        while True:
            (waiting,) = await self._connection.pipeline(
                [("XPENDING", stream, group, "-", "+", "1", dead)], errors=False
            )
            if not isinstance(waiting, list) or not waiting:
                return None
            entry_id = waiting[0][0]
            claimed, there = await self._connection.pipeline(
                [
                    ("XCLAIM", stream, group, consumer, _UNTOUCHED_MS, entry_id),
                    ("XRANGE", stream, entry_id, entry_id),
                ]
            )
            if there:
                return delivered(stream.encode(), *claimed[0]) if claimed else None
            await self._connection.call("XACK", stream, group, entry_id)  # trimmed: nothing is left to run
            log.error("events.entry_lost", group=group, stream=stream, entry=entry_id.decode())


def _facts(consumer: Sequence[Any]) -> dict[str, Any]:
    facts = {name.decode(): value for name, value in zip(consumer[::2], consumer[1::2], strict=True)}
    return {**facts, "name": facts["name"].decode()}
