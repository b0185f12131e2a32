"""Redis Streams with Dapr's entry format: field `data` (the envelope) and, where needed, `metadata` (JSON map)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opsplane.events.broker import BrokerUnavailable, Delivered, Done, Entry, PartlyPublished, Reader
from opsplane.events.brokers import keys, settling
from opsplane.events.brokers.entries import delivered
from opsplane.events.brokers.leases import LEASE_MS, LeaseKeeper
from opsplane.events.brokers.recovery import Recovery
from opsplane.events.brokers.resp import Address, CommandRefused, Connection
from opsplane.events.brokers.strict import StrictWriter
from opsplane.events.brokers.tenure import RedisTenure, epoch_of
from opsplane.events.tenure import Tenure

_CHUNK = 500
_MOVED_AT_ONCE = 200

# Moves due entries of a retry schedule (KEYS[1]) to the private stream (KEYS[2]) byte for byte; members are `packed`.
_MOVE = """
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 200)
for _, member in ipairs(due) do
  local length = tonumber(string.sub(member, 1, 10))
  redis.call('XADD', KEYS[2], '*', 'data', string.sub(member, 11 + length),
             'metadata', string.sub(member, 11, 10 + length))
  redis.call('ZREM', KEYS[1], member)
end
return #due
"""


class RedisStreams:
    """A `Broker` on Redis ≥ 6.2 or Valkey; no command newer than Redis 7.0 is used."""

    def __init__(self, url: str, *, allow_vulnerable: bool = False) -> None:
        self._address = Address(url)
        self._allow_vulnerable = allow_vulnerable
        self._connection = self._connect()
        self._leases = LeaseKeeper(url)
        self._recovery = Recovery(self._connection)
        self._strict = StrictWriter(self._address)

    @property
    def interruptions(self) -> int:
        """How often the connection was lost."""
        return self._connection.losses

    async def publish_many(self, entries: Iterable[Entry]) -> list[str]:
        """The stream ids of the entries, in order; after a refusal or a lost connection nothing more is sent."""
        commands = [settling.added(entry.stream, entry.data, entry.metadata) for entry in entries]
        ids: list[str] = []
        losses = self._connection.losses
        for first in range(0, len(commands), _CHUNK):
            if self._connection.losses != losses:
                raise BrokerUnavailable(
                    "The broker closed the connection; it may not have kept the first entries."
                )
            replies = await self._connection.pipeline(commands[first : first + _CHUNK], errors=False)
            try:
                ids += [reply.decode() for reply in replies]
            except AttributeError:  # the reply to a refused command is an error, not bytes
                raise _partly(ids, replies, len(commands)) from None
        return ids

    async def publish_strictly(self, entries: Iterable[Entry]) -> list[str]:
        """The stream ids of the entries once they are on the server's disk."""
        commands = [settling.added(entry.stream, entry.data, entry.metadata) for entry in entries]
        return [reply.decode() for reply in await self._strict.write(commands)]

    async def on_disk(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The replies once what the commands wrote is on the server's disk."""
        return await self._strict.write(commands)

    async def reader(self, group: str, consumer: str, streams: Sequence[str]) -> Reader:
        """A reader with a connection of its own."""
        reader = StreamReader(self._connect(), group, consumer, streams)
        await reader.create_groups()
        return reader

    async def settle(self, group: str, done: Sequence[Done]) -> None:
        """Acknowledge and remember, in one round trip."""
        await self._connection.transaction(settling.settled(group, done))

    async def seen(self, group: str, events: Sequence[str]) -> list[bool]:
        """Whether each event was handled within the last five to ten minutes."""
        now, before = await self._connection.pipeline(
            [("SMISMEMBER", keys.seen(group, age), *events) for age in (0, 1)]
        )
        return [bool(current or previous) for current, previous in zip(now, before, strict=True)]

    async def schedule_retry(
        self, group: str, entry: Delivered, metadata: Mapping[str, str], due: float
    ) -> None:
        """Acknowledge and schedule, atomically."""
        await self._connection.transaction(settling.scheduled(group, entry, metadata, due))

    async def dead_letter(
        self, group: str, entry: Delivered, topic: str, metadata: Mapping[str, str]
    ) -> None:
        """Acknowledge and write the dead letter, atomically."""
        await self._connection.transaction(settling.buried(group, entry, topic, metadata))

    async def move_due_retries(self, group: str, now: float) -> int:
        """Run the move as a script, which only the `events` user may."""
        command = ("EVAL", _MOVE, "2", keys.retry_schedule(group), keys.retry_stream(group), repr(now))
        count = moved = int(await self._connection.call(*command))
        while moved == _MOVED_AT_ONCE:
            moved = int(await self._connection.call(*command))
            count += moved
        return count

    async def dead_consumers(self, group: str, streams: Sequence[str]) -> list[str]:
        """Consumers of the group whose lease has run out."""
        return await self._recovery.dead_consumers(group, [*streams, keys.retry_stream(group)])

    async def claim_one(
        self, group: str, consumer: str, dead: str, streams: Sequence[str]
    ) -> Delivered | None:
        """The next entry a dead consumer left behind."""
        return await self._recovery.claim_one(group, consumer, dead, [*streams, keys.retry_stream(group)])

    async def forget_consumers(self, group: str, streams: Sequence[str]) -> int:
        """Strike off consumers that hold nothing and have been gone for an hour."""
        return await self._recovery.forget(group, [*streams, keys.retry_stream(group)])

    async def count_start(self, group: str, entry: Delivered) -> int:
        """Count one more start of a recovered entry."""
        field = keys.place(entry.stream, entry.id)
        replies = await self._connection.pipeline(
            [("HINCRBY", keys.started(group), field, "1"), ("EXPIRE", keys.started(group), "86400")]
        )
        return int(replies[0])

    async def uncount_start(self, group: str, entry: Delivered) -> None:
        """Count one start less; one that was never counted stays so."""
        field = keys.place(entry.stream, entry.id)
        if int(await self._connection.call("HINCRBY", keys.started(group), field, "-1")) <= 0:
            await self._connection.call("HDEL", keys.started(group), field)

    async def hold(self, group: str, consumer: str, entries: Sequence[Delivered]) -> None:
        """Claim the entries again without counting a delivery, in chunks."""
        streams: dict[str, list[str]] = {}
        for entry in entries:
            if not keys.is_aside(entry.stream):
                streams.setdefault(entry.stream, []).append(entry.id)
        commands = [
            ("XCLAIM", stream, group, consumer, "0", *ids[first : first + _CHUNK], "JUSTID")
            for stream, ids in streams.items()
            for first in range(0, len(ids), _CHUNK)
        ]
        if commands:
            await self._connection.pipeline(commands)

    async def paused(self) -> frozenset[str]:
        """The paused groups."""
        return frozenset(name.decode() for name in await self._connection.call("SMEMBERS", keys.PAUSED))

    async def call(self, *command: Any) -> Any:
        """The reply to any command."""
        return await self._connection.call(*command)

    async def lease(self, group: str, consumer: str) -> None:
        """Take the consumer's lease and have it kept."""
        name = keys.lease(group, consumer)
        await self._connection.call("SET", name, "1", "PX", str(LEASE_MS))
        self._leases.add(name)

    async def unlease(self, group: str, consumer: str) -> None:
        """End the consumer's lease."""
        name = keys.lease(group, consumer)
        self._leases.remove(name)
        await self._connection.call("DEL", name)

    async def epoch(self, group: str) -> int:
        """The epoch of the group's latest leader."""
        return epoch_of(await self._connection.call("GET", keys.leader(group)))

    async def lead(self, group: str, epoch: int, leader: str, streams: Sequence[str]) -> Tenure:
        """A tenure with connections of its own."""
        return await RedisTenure.begin(self._connect, group, epoch, leader, streams)

    async def close(self) -> None:
        """Close the connection and stop the lease thread."""
        self._leases.close()
        await self._strict.close()
        await self._connection.close()

    def _connect(self) -> Connection:
        return Connection(self._address, allow_vulnerable=self._allow_vulnerable)


class StreamReader:
    """A consumer's own connection, blocked in XREADGROUP most of the time."""

    def __init__(self, connection: Connection, group: str, consumer: str, streams: Sequence[str]) -> None:
        self._connection = connection
        self._group = group
        self._consumer = consumer
        self._streams = [keys.retry_stream(group), *streams]
        self.epochs: Sequence[bytes] = ()

    async def create_groups(self) -> None:
        """Create the group on every stream where it is missing, from the first entry on."""
        commands = [("XGROUP", "CREATE", stream, self._group, "0", "MKSTREAM") for stream in self._streams]
        for reply in await self._connection.pipeline(commands, errors=False):
            if isinstance(reply, Exception) and not str(reply).startswith("BUSYGROUP"):
                raise CommandRefused(f"The broker refused to create the group {self._group}: {reply}")

    async def read(self, count: int, block: float) -> list[Delivered]:
        """New entries; groups lost with the broker's memory are created again."""
        if self._connection.losses:
            raise BrokerUnavailable(
                "The broker closed the connection; it may not know what this consumer has done."
            )
        read = (
            "XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", str(count), "BLOCK",
            str(max(1, int(block * 1000))), "STREAMS", *self._streams, *[">"] * len(self._streams),
        )  # fmt: skip
        try:  # the epochs behind the entries: what is given after a seek finds the epoch that was begun before it
            reply, self.epochs = await self._connection.pipeline(
                [read, ("HGETALL", keys.epochs(self._group))]
            )
        except CommandRefused as error:
            if str(error.reply).startswith(("NOGROUP", "UNBLOCKED")):
                await self.create_groups()
                return []
            raise
        return [delivered(stream, id_, fields) for stream, entries in reply or () for id_, fields in entries]

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()


def _partly(ids: list[str], replies: Sequence[Any], count: int) -> PartlyPublished:
    reasons = {
        len(ids) + place: str(reply) for place, reply in enumerate(replies) if isinstance(reply, Exception)
    }
    found = [*ids, *(None if isinstance(reply, Exception) else reply.decode() for reply in replies)]
    found += [None] * (count - len(found))
    reason = next(iter(reasons.values()))
    return PartlyPublished(f"The broker refused {found.count(None)} of {count}: {reason}", found, reasons)
