"""A leader's tenure on Redis Streams: every step is a transaction that fails once another leader has begun.

No script is needed for that. The one connection all steps go over watches the leader's key, and each step ends with
watching it again and looking at it, so that the next is refused when it has changed since. Reading is such a step,
too: a leader that was stopped and comes back gets no entry that would then be nobody's. What blocks while there is
nothing to read is a plain XREAD on a connection of its own, which takes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from opsplane.events.broker import BrokerUnavailable, Delivered, Done
from opsplane.events.brokers import keys, settling
from opsplane.events.brokers.entries import delivered
from opsplane.events.brokers.recovery import Recovery
from opsplane.events.brokers.resp import Command, CommandRefused, Connection
from opsplane.events.fence import Deposed
from opsplane.events.streams import number
from opsplane.events.tenure import LEADER, Parked, Parking
from opsplane.telemetry import get_logger

log = get_logger("events")
_parked = msgspec.json.Decoder(Parked)
PAGE = 500


class RedisTenure:
    """The `Tenure` of one leader; made with `await RedisTenure.begin(...)`."""

    def __init__(
        self, connect: Callable[[], Connection], group: str, epoch: int, leader: str, streams: Sequence[str]
    ) -> None:
        self._connection = connect()
        self._bell = connect()
        self._group = group
        self._epoch = epoch
        self._mark = f"{epoch} {leader}".encode()
        self._key = keys.leader(group)
        self._private = keys.retry_stream(group)
        self._streams = [self._private, *streams]
        self._last = dict.fromkeys(self._streams, "0-0")
        self._one_at_a_time = asyncio.Lock()
        self._over: Deposed | None = None
        self.epochs: Sequence[bytes] = ()

    @classmethod
    async def begin(
        cls, connect: Callable[[], Connection], group: str, epoch: int, leader: str, streams: Sequence[str]
    ) -> RedisTenure:
        """The tenure, begun: the groups are there, and what dead consumers of other kinds held is the leader's."""
        tenure = cls(connect, group, epoch, leader, streams)
        try:
            await tenure._take()
            await tenure._create_groups()
            await tenure._claim()
        except BaseException:
            await tenure.close()
            raise
        return tenure

    async def parked(self) -> dict[str, tuple[Parked, int]]:
        """The parked subjects."""
        (flat,) = await self._step([("HGETALL", keys.parked(self._group))])
        found = {
            subject.decode(): _parked.decode(parked)
            for subject, parked in zip(flat[::2], flat[1::2], strict=True)
        }
        counts = await self._step([("LLEN", keys.aside(self._group, subject)) for subject in found])
        return {subject: (found[subject], int(count)) for subject, count in zip(found, counts, strict=True)}

    async def pending(self) -> list[Delivered]:
        """Everything the group's leaders hold."""
        found: list[Delivered] = []
        for stream in self._streams:
            after = "0"
            while entries := await self._held(stream, after):
                after = entries[-1][0].decode()
                found += [delivered(stream.encode(), *entry) for entry in entries if entry[1]]
                await self._lose([(stream, entry[0].decode()) for entry in entries if not entry[1]])
        return sorted(found, key=self._age)

    async def read(self, count: int, block: float) -> list[Delivered]:
        """New entries; when there are none, none yet, after the first has come or `block` seconds."""
        fresh = [">"] * len(self._streams)
        command = ("XREADGROUP", "GROUP", self._group, LEADER, "COUNT", str(count), "STREAMS", *self._streams)
        step = [(*command, *fresh), ("HGETALL", keys.epochs(self._group))]
        reply, self.epochs = await self._step(step)
        if not reply:
            await self._bell.call(
                "XREAD", "COUNT", "1", "BLOCK", str(max(1, int(block * 1000))), "STREAMS",
                *self._streams, *(self._last[stream] for stream in self._streams),
            )  # fmt: skip
            return []
        for stream, entries in reply:
            self._last[stream.decode()] = entries[-1][0].decode()
        return sorted(
            (delivered(stream, *entry) for stream, entries in reply for entry in entries), key=self._age
        )

    async def settle(self, group: str, done: Sequence[Done], parking: Parking) -> None:
        """Acknowledge, remember, park."""
        await self._step([*(settling.settled(group, done) if done else ()), *self._park(parking)])

    async def schedule_retry(
        self, group: str, entry: Delivered, metadata: Mapping[str, str], due: float, parking: Parking
    ) -> None:
        """Acknowledge, schedule, park."""
        await self._step([*settling.scheduled(group, entry, metadata, due), *self._park(parking)])

    async def dead_letter(
        self, group: str, entry: Delivered, topic: str, metadata: Mapping[str, str], parking: Parking
    ) -> None:
        """Acknowledge, write the dead letter, park."""
        await self._step([*settling.buried(group, entry, topic, metadata), *self._park(parking)])

    async def set_aside(self, subject: str, entries: Sequence[Delivered], parking: Parking) -> None:
        """Append to the subject's list and acknowledge."""
        members = [settling.packed(entry.metadata, entry.data) for entry in entries]
        released = [command for entry in entries for command in settling.released(self._group, entry)]
        await self._step(
            [("RPUSH", keys.aside(self._group, subject), *members), *released, *self._park(parking)]
        )

    async def aside(self, subject: str, count: int) -> list[Delivered]:
        """The head of the subject's list."""
        key = keys.aside(self._group, subject)
        (members,) = await self._step([("LRANGE", key, "0", str(count - 1))])
        found = []
        for metadata, data in map(settling.unpacked, members):
            entry = delivered(key.encode(), b"", [b"metadata", metadata, b"data", data])
            place = keys.place(entry.metadata["sourceTopic"], entry.metadata["sourceId"])
            found.append(entry._replace(id=place))
        return found

    async def close(self) -> None:
        """Close both connections."""
        await self._connection.close()
        await self._bell.close()

    async def _take(self) -> None:
        """Make the leader's key say our epoch, unless it says a later one."""
        _, found = await self._connection.pipeline([("WATCH", self._key), ("GET", self._key)])
        if epoch_of(found) > self._epoch:
            raise self._deposed(found)
        await self._step([("SET", self._key, self._mark)])

    async def _step(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to the commands, which have happened all or not at all."""
        if not commands:
            return []
        async with self._one_at_a_time:
            if self._over is not None:
                raise self._over
            if not self._connection.is_open:
                raise BrokerUnavailable("The leader's connection to the broker is gone.")
            replies = await self._connection.pipeline(
                [("MULTI",), *commands, ("EXEC",), ("WATCH", self._key), ("GET", self._key)]
            )
            happened, _, mark = replies[-3:]
            if happened is None or mark != self._mark:
                self._over = self._deposed(mark)  # from now on the connection watches the other's mark
                raise self._over
        for reply in happened:
            if isinstance(reply, Exception):
                raise CommandRefused(f"The broker refused a leader's command: {reply}", reply=str(reply))
        return list(happened)

    def _deposed(self, mark: bytes | None) -> Deposed:
        now = "nobody, the broker has lost its memory" if mark is None else mark.decode()
        return Deposed(f"The ordered group {self._group} is led by {now}; epoch {self._epoch} stops.")

    async def _create_groups(self) -> None:
        for stream in self._streams:
            try:
                await self._step([("XGROUP", "CREATE", stream, self._group, "0", "MKSTREAM")])
            except CommandRefused as error:
                if not str(error.reply).startswith("BUSYGROUP"):
                    raise
        for stream in self._streams:
            (groups,) = await self._step([("XINFO", "GROUPS", stream)])
            for group in groups:
                facts = dict(zip(group[::2], group[1::2], strict=True))
                if facts[b"name"].decode() == self._group:
                    self._last[stream] = facts[b"last-delivered-id"].decode()

    async def _claim(self) -> None:
        """Take over from consumers of the time when the group was not ordered."""
        for dead in await Recovery(self._connection).dead_consumers(self._group, self._streams):
            for stream in self._streams if dead != LEADER else ():
                while rows := await self._pending_of(dead, stream):
                    ids = [row[0] for row in rows]
                    await self._step([("XCLAIM", stream, self._group, LEADER, "0", *ids, "JUSTID")])

    async def _pending_of(self, consumer: str, stream: str) -> list[Any]:
        (rows,) = await self._step([("XPENDING", stream, self._group, "-", "+", str(PAGE), consumer)])
        return list(rows)

    async def _held(self, stream: str, after: str) -> list[Any]:
        command = ("XREADGROUP", "GROUP", self._group, LEADER, "COUNT", str(PAGE), "STREAMS", stream, after)
        (reply,) = await self._step([command])
        return reply[0][1] if reply else []

    async def _lose(self, places: Sequence[tuple[str, str]]) -> None:
        for stream, entry_id in places:
            await self._step([("XACK", stream, self._group, entry_id)])
            log.error("events.entry_lost", group=self._group, stream=stream, entry=entry_id)

    def _park(self, parking: Parking) -> list[Command]:
        key = keys.parked(self._group)
        return [
            ("HDEL", key, subject) if parked is None else ("HSET", key, subject, settling.encode(parked))
            for subject, parked in parking.items()
        ]

    def _age(self, entry: Delivered) -> tuple[bool, tuple[int, int]]:
        return not entry.is_private, number(entry.id)


def epoch_of(mark: bytes | None) -> int:
    """The epoch a leader's key tells."""
    return int(mark.split()[0]) if mark else 0
