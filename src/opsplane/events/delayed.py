"""Delayed events of direct publishing: they wait in the broker, and are put on their topic when they are due."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection
from datetime import datetime

from opsplane.clock import Clock
from opsplane.events.broker import Broker
from opsplane.events.brokers.keys import DELAYED, delayed
from opsplane.events.fullness import FullStreams
from opsplane.resilience import Stop

INTERVAL = 0.25
_MOVED_AT_ONCE = 200

# Puts due events of a schedule (KEYS[1]) on their topic (KEYS[2]) byte for byte, and strikes the topic off the list of
# those with a schedule (KEYS[3]) when nothing is left. A member is 28 bytes that make it unique, then the event.
_MOVE = """
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 200)
for _, member in ipairs(due) do
  redis.call('XADD', KEYS[2], '*', 'data', string.sub(member, 29))
  redis.call('ZREM', KEYS[1], member)
end
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('SREM', KEYS[3], KEYS[2]) end
return #due
"""


async def delay(
    broker: Broker, topic: str, data: bytes, deliver_at: datetime, *, strict: bool = False
) -> None:
    """Keep an event back until `deliver_at`; of those due at the same time the first given goes first.

    With `strict` it is on the broker's disk afterwards.
    """
    member = b"%020d%b%b" % (time.time_ns(), secrets.token_hex(4).encode(), data)
    commands = [
        ("ZADD", delayed(topic), repr(deliver_at.timestamp()), member),
        ("SADD", DELAYED, topic),  # after: the mover strikes off topics without a schedule
    ]
    if strict:
        await broker.on_disk(commands)
        return
    for command in commands:
        await broker.call(*command)


async def count(broker: Broker, topic: str) -> int:
    """How many direct events of the topic wait for their time."""
    return int(await broker.call("ZCARD", delayed(topic)))


class DelayedMover:
    """Puts due events on their topics; runs in the `events` role, whose user alone may run scripts.

    The events of a full stream wait on.
    """

    name = "delayed mover"

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock
        self._full = FullStreams(broker)

    async def run(self, stop: Stop) -> None:
        """Move until `stop`."""
        while not await stop.wait(INTERVAL):
            await self.move()

    async def move(self) -> int:
        """How many events were put on their topics now."""
        topics = {name.decode() for name in await self._broker.call("SMEMBERS", DELAYED)}
        full: Collection[str] = await self._full.rejecting() if topics else ()
        return sum([await self._move(topic) for topic in sorted(topics.difference(full))])

    async def _move(self, topic: str) -> int:
        now = repr(self._clock.now().timestamp())
        moved, count = _MOVED_AT_ONCE, 0
        while moved == _MOVED_AT_ONCE:
            moved = int(await self._broker.call("EVAL", _MOVE, "3", delayed(topic), topic, DELAYED, now))
            count += moved
        return count
