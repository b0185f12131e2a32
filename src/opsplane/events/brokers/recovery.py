"""Taking over what a dead consumer left: its entries, one at a time, by one process at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opsplane.events.broker import Delivered
from opsplane.events.brokers import keys
from opsplane.events.brokers.entries import delivered
from opsplane.events.brokers.resp import Connection

_HOLD_MS = "60000"


class Recovery:
    """Finds consumers without a lease and hands their entries over."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def dead_consumers(self, group: str, streams: Sequence[str]) -> list[str]:
        """Names of consumers whose lease has run out, whether or not they hold entries."""
        replies = await self._connection.pipeline(
            [("XINFO", "CONSUMERS", stream, group) for stream in streams], errors=False
        )
        names = {consumer[1].decode() for reply in replies if isinstance(reply, list) for consumer in reply}
        if not names:
            return []
        ordered = sorted(names)
        alive = await self._connection.pipeline([("EXISTS", keys.lease(group, name)) for name in ordered])
        return [name for name, lives in zip(ordered, alive, strict=True) if not lives]

    async def claim_one(
        self, group: str, consumer: str, dead: str, streams: Sequence[str]
    ) -> Delivered | None:
        """The oldest entry `dead` holds on any of the streams; when there is none `dead` is removed from them."""
        mark = keys.recovery(group, dead)
        holder = await self._hold(mark, consumer)
        if holder != consumer:
            return None
        for stream in streams:
            entry = await self._claim(group, consumer, dead, stream)
            if entry is not None:
                return entry
        await self._connection.pipeline(
            [*(("XGROUP", "DELCONSUMER", stream, group, dead) for stream in streams), ("DEL", mark)],
            errors=False,
        )
        return None

    async def _hold(self, mark: str, consumer: str) -> str:
        await self._connection.call("SET", mark, consumer, "NX", "PX", _HOLD_MS)
        holder: Any = await self._connection.call("GET", mark)
        if holder == consumer.encode():
            await self._connection.call("PEXPIRE", mark, _HOLD_MS)
        return holder.decode() if holder else ""

    async def _claim(self, group: str, consumer: str, dead: str, stream: str) -> Delivered | None:
        while True:
            (waiting,) = await self._connection.pipeline(
                [("XPENDING", stream, group, "-", "+", "1", dead)], errors=False
            )
            if not isinstance(waiting, list) or not waiting:
                return None
            entry_id = waiting[0][0]
            claimed = await self._connection.call("XCLAIM", stream, group, consumer, "0", entry_id)
            if claimed and claimed[0] and claimed[0][1]:
                return delivered(stream.encode(), claimed[0][0], claimed[0][1])
            await self._connection.call(
                "XACK", stream, group, entry_id
            )  # its entry was trimmed: nothing is left to run
