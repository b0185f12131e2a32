"""Epochs: when an operator has a group do events again, those events have their effect once in each epoch.

The truth is in PostgreSQL, its copy in the broker (`opsplane:epochs:{group}`): a reader gets the epochs together with
what it reads, in the same round trip and behind it, so nothing that is given again is taken for what was done before.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from opsplane.database import Pool, sql
from opsplane.events.broker import Broker
from opsplane.events.brokers.keys import epochs as key_of
from opsplane.events.streams import number
from opsplane.resilience import Stop

INTERVAL = 1.0
Begun = tuple[int, str]  # an epoch, and the id of the stream behind which it holds
_decode = msgspec.json.Decoder(list[Begun]).decode


class Epochs:
    """The epochs of one group by topic, as last read; false while there is none, which is the common case."""

    def __init__(self) -> None:
        self._raw: Sequence[bytes] = ()
        self._begun: dict[str, list[tuple[int, tuple[int, int]]]] = {}

    def __bool__(self) -> bool:
        return bool(self._begun)

    def take(self, raw: Sequence[bytes]) -> None:
        """Hold what the broker's copy says now."""
        if raw != self._raw:
            self._raw = raw
            self._begun = {
                topic.decode(): [(epoch, number(since)) for epoch, since in _decode(begun)]
                for topic, begun in zip(raw[::2], raw[1::2], strict=True)
            }

    async def look(self, broker: Broker, group: str) -> None:
        """Ask the broker."""
        self.take(await broker.call("HGETALL", key_of(group)))

    def of(self, topic: str, entry_id: str) -> int:
        """The epoch of an entry: the latest that was begun at an id before it; 0 where none was."""
        begun = self._begun.get(topic)
        if begun is None:
            return 0
        try:
            place = number(entry_id)
        except ValueError:
            return 0
        return max((epoch for epoch, since in begun if since < place), default=0)


async def begin(pool: Pool, broker: Broker, group: str, topic: str, since: str, by: str) -> int:
    """The number of the epoch that holds for the group's events on `topic` behind the id `since`, begun now."""
    facts = {"group": group, "topic": topic, "since": since, "by": by}
    async with pool.transaction() as tx:
        await tx.execute(sql(__package__, "lock_epochs"), [group])
        row = await (await tx.execute(sql(__package__, "begin_epoch"), facts)).fetchone()
    await project(pool, broker, group)
    assert row is not None
    return int(row["epoch"])


async def project(pool: Pool, broker: Broker, group: str | None = None) -> None:
    """Tell the broker about the epochs of one group, or of all."""
    begun: dict[str, dict[str, list[Begun]]] = {}
    for row in await pool.fetch(sql(__package__, "list_epochs"), {"group": group}):
        topics = begun.setdefault(row["consumer_group"], {})
        topics.setdefault(row["topic"], []).append((row["epoch"], row["since"]))
    for name, topics in begun.items():
        fields = [one for topic, found in topics.items() for one in (topic, msgspec.json.encode(found))]
        await broker.call("HSET", key_of(name), *fields)


class EpochProjection:
    """Tells the broker every second, so that epochs outlive the broker's memory; runs in the `events` role."""

    name = "epoch projection"

    def __init__(self, pool: Pool, broker: Broker) -> None:
        self._pool = pool
        self._broker = broker

    async def run(self, stop: Stop) -> None:
        """Tell until `stop`."""
        while not stop.is_set():
            await project(self._pool, self._broker)
            await stop.wait(INTERVAL)
