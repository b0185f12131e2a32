"""Retention: streams are trimmed below what every group has read, and full ones are marked for their publishers."""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec

from opsplane.clock import Clock
from opsplane.events.broker import Broker
from opsplane.events.brokers.keys import EVICTED, FULL
from opsplane.events.brokers.resp import CommandRefused
from opsplane.events.brokers.trimming import AT_ONCE, Trimmed, trim
from opsplane.events.configuration import EventsFile, TopicPolicy
from opsplane.events.streams import number, topics
from opsplane.resilience import Stop
from opsplane.telemetry import counter, gauge, get_logger

log = get_logger("events")
_length = gauge("stream_length", "Entries of the stream.", ["topic"])
_full = gauge(
    "stream_full", "1 while publishers of the topic are refused because of this group.", ["topic", "group"]
)
_trimmed = counter("stream_trimmed_total", "Entries every group had read that were trimmed.", ["topic"])
_evicted = counter("stream_evicted_total", "Unread entries that were evicted from a full stream.", ["topic"])
INTERVAL = 1.0
LOOK = 5.0
HOLDS = 0.9  # of the limit: a group with so much unread is told as the reason


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What is noted in the broker of a stream that is full, or lost unread entries: when, and because of which groups."""

    at: float
    groups: list[str]
    count: int = 0


class Trimmer:
    """Runs in the `events` role, whose user alone may run scripts."""

    name = "trimmer"

    def __init__(self, broker: Broker, file: EventsFile, clock: Clock) -> None:
        self._broker = broker
        self._file = file
        self._clock = clock
        self._topics: list[str] = []
        self._look_at = 0.0

    async def run(self, stop: Stop) -> None:
        """Trim until `stop`."""
        while not stop.is_set():
            await self.step()
            await stop.wait(INTERVAL)

    async def step(self) -> int:
        """How many entries were cut now."""
        if time.monotonic() >= self._look_at:
            self._topics = await topics(self._broker)
            self._look_at = time.monotonic() + LOOK
        marked = await marks(self._broker, FULL)
        count = 0
        for topic in sorted({*self._topics, *marked}):
            try:
                count += await self._topic(topic, marked)
            except CommandRefused as error:
                log.warning("events.not_trimmed", topic=topic, error=error.message)
        return count

    async def _topic(self, topic: str, marked: Mapping[str, Mark]) -> int:
        policy, now = self._file.current.policy(topic), self._clock.now().timestamp()
        done = await trimmed(self._broker, topic, policy, now)
        _length.labels(topic).set(done.length)
        if done.aged + done.sized:
            _trimmed.labels(topic).inc(done.aged + done.sized)
        if done.evicted:
            await self._note_eviction(topic, done, now)
        await self._mark(topic, policy, done, marked.get(topic), now)
        return done.total

    async def _mark(
        self, topic: str, policy: TopicPolicy, done: Trimmed, known: Mark | None, now: float
    ) -> None:
        """Refuse publishers of a stream that is full, let them in again when it is not."""
        if policy.on_full == "evict" or done.length < policy.max_length or not done.nothing_to_spare:
            if known is not None:
                await self._broker.call("HDEL", FULL, topic)
                log.info("events.stream_open", topic=topic, length=done.length)
                for group in known.groups:
                    _full.labels(topic, group).set(0)
            return
        groups = await holders(self._broker, topic, policy, done)
        mark = Mark(at=known.at if known else now, groups=groups)
        if mark == known:
            return
        await self._broker.call("HSET", FULL, topic, msgspec.json.encode(mark))
        log.error("events.stream_full", topic=topic, length=done.length, groups=groups)
        for group in {*groups, *(known.groups if known else ())}:
            _full.labels(topic, group).set(int(group in groups))

    async def _note_eviction(self, topic: str, done: Trimmed, now: float) -> None:
        known = (await marks(self._broker, EVICTED)).get(topic)
        robbed = done.robbed()
        mark = Mark(at=now, groups=robbed, count=done.evicted + (known.count if known else 0))
        await self._broker.call("HSET", EVICTED, topic, msgspec.json.encode(mark))
        _evicted.labels(topic).inc(done.evicted)
        log.error("events.evicted", topic=topic, count=done.evicted, groups=robbed)


async def trimmed(
    broker: Broker, topic: str, policy: TopicPolicy, now: float, *, act: bool = True
) -> Trimmed:
    """The topic trimmed as its policy says, or with `act=False` what that would cut (counted up to 10,000)."""
    older, evict = int((now - policy.retention) * 1000), policy.on_full == "evict"
    total = done = await trim(broker, topic, older, policy.max_length, evict=evict, act=act)
    while act and max(done.aged, done.sized, done.evicted) >= AT_ONCE:
        done = await trim(broker, topic, older, policy.max_length, evict=evict)
        total = done._replace(
            aged=total.aged + done.aged, sized=total.sized + done.sized, evicted=total.evicted + done.evicted
        )
    return total


async def holders(broker: Broker, topic: str, policy: TopicPolicy, done: Trimmed) -> list[str]:
    """The groups because of which a stream cannot be trimmed: with nearly all of it unread, and the last of all."""
    found = {min(done.needs, key=lambda group: number(done.needs[group]))} if done.needs else set[str]()
    for facts in await broker.call("XINFO", "GROUPS", topic):
        known = dict(zip(facts[::2], facts[1::2], strict=True))
        lag = known.get(b"lag")
        if lag is not None and lag + known[b"pending"] >= HOLDS * policy.max_length:
            found.add(known[b"name"].decode(errors="replace"))
    return sorted(found)


async def marks(broker: Broker, key: str) -> dict[str, Mark]:
    """The streams that are full (key FULL), or have lost unread entries (EVICTED)."""
    reply = await broker.call("HGETALL", key)
    return {
        name.decode(): msgspec.json.decode(mark, type=Mark)
        for name, mark in zip(reply[::2], reply[1::2], strict=True)
    }
