"""The relay: publishes the outbox of one database, after commit, in order, at least once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from psycopg.rows import DictRow

from opsplane.database import Bell, Connection, Doorbell, Leader, Pool, sql
from opsplane.events.broker import Broker, BrokerUnavailable, Entry, PartlyPublished
from opsplane.events.envelope import numbered
from opsplane.events.fullness import FullStreams
from opsplane.events.outbox import CHANNEL
from opsplane.events.tail import take_back_lost
from opsplane.resilience import Backoff, Stop
from opsplane.telemetry import counter, gauge, get_logger

log = get_logger("events")
_published = counter("event_publish_total", "Events published to the broker.", ["topic"])
_pending = gauge("outbox_pending", "Events waiting in the outbox.", ["database"])
_delayed = gauge("outbox_delayed", "Events in the outbox that are not due yet.", ["database"])
_lag = gauge("outbox_lag_seconds", "Age of the oldest event waiting in the outbox.", ["database"])

BATCH = 1000
POLL = 1.0  # the doorbell wakes it at once; this is for a ring that was lost
HOUSEKEEPING = 5.0
_AWAY = Backoff(0.1, 2.0)


class Relay:
    """One per database, by an advisory lock; `run` is its duty.

    It takes unpublished rows, not ids above a mark: ids are drawn before commit. A crash between sending and
    marking sends the tail again with the same sequence numbers, since per subject ids are in commit order. Delayed
    rows are left alone until they are due; of rows that are due together, the lower id goes first. Whenever the
    broker was away, what it lost of its last writes is sent first.
    """

    def __init__(
        self,
        database: str,
        pool: Pool,
        broker: Broker,
        doorbell: Doorbell,
        *,
        retention: float = 7 * 86400.0,
        inbox_retention: float = 30 * 86400.0,
        full: FullStreams | None = None,
    ) -> None:
        self.name = f"relay {database}"
        self._database = database
        self._pool = pool
        self._broker = broker
        self._doorbell = doorbell
        self._retention = retention
        self._inbox_retention = inbox_retention
        self._full = full
        self._counters: dict[tuple[str, str], int] = {}
        self._interruptions = -1

    async def run(self, stop: Stop) -> None:
        """Publish until `stop`."""
        leader = Leader(self._pool.dsn, f"outbox relay {self._database}")
        async with leader.hold(stop) as held, self._doorbell.listen(CHANNEL) as bell:
            self._counters.clear()
            self._interruptions = -1
            if held:
                await self._publish_until(stop, leader, bell)

    async def _publish_until(self, stop: Stop, leader: Leader, bell: Bell) -> None:
        clean_at, failures = 0.0, 0
        while not stop.is_set():
            if (
                time.monotonic() >= clean_at
            ):  # first of all: what waits while nothing can be published is told too
                if not await leader.still():
                    raise ConnectionError("The session that holds the relay's lock is gone.")
                await self._keep_house()
                clean_at = time.monotonic() + HOUSEKEEPING
            try:
                count = await self.publish_waiting()
            except BrokerUnavailable as error:
                failures += 1
                log.warning("events.relay_waits", database=self._database, error=error.message)
                await stop.wait(_AWAY.delay(failures))
                continue
            failures = 0
            if count < BATCH:
                await bell.wait(await self._pause())

    async def _pause(self) -> float:
        """Seconds until it should look again unless the bell rings: until the next delayed event is due."""
        row = await self._pool.fetch_one(sql(__package__, "next_due"))
        due = row["seconds"] if row else None
        return POLL if due is None else max(0.0, min(POLL, due))

    async def publish_waiting(self) -> int:
        """How many events of one batch were published and marked now; those of full streams wait."""
        if self._broker.interruptions != self._interruptions:
            await self._look_back()
        without = await self._full.rejecting() if self._full is not None else ()
        wanted = {"without": list(without), "limit": BATCH}
        rows = await self._pool.fetch(sql(__package__, "select_unpublished"), wanted)
        if not rows:
            return 0
        numbers = await self._numbers(rows)
        entries = [
            Entry(row["topic"], numbered(row["envelope"], number) if number else row["envelope"])
            for row, number in zip(rows, numbers, strict=True)
        ]
        if self._broker.interruptions != self._interruptions:
            return 0  # what was lost meanwhile goes first
        try:
            stream_ids = await self._broker.publish_many(entries)
        except PartlyPublished as error:
            taken = [place for place, stream_id in enumerate(error.ids) if stream_id is not None]
            await self._mark(
                [rows[place] for place in taken],
                [stream_id for stream_id in error.ids if stream_id is not None],
                [numbers[place] for place in taken],
            )
            raise
        await self._mark(rows, stream_ids, numbers)
        return len(rows)

    async def _look_back(self) -> None:
        interruptions = self._broker.interruptions
        await take_back_lost(self._pool, self._broker)
        self._interruptions = interruptions

    async def _numbers(self, rows: Sequence[DictRow]) -> list[int]:
        subjects = {(row["topic"], row["subject"]) for row in rows if row["subject"]} - self._counters.keys()
        if len(self._counters) > 200_000:
            self._counters.clear()
            subjects = {(row["topic"], row["subject"]) for row in rows if row["subject"]}
        if subjects:
            topics, names = zip(*subjects, strict=True)
            known = await self._pool.fetch(sql(__package__, "select_counters"), [list(topics), list(names)])
            self._counters.update(dict.fromkeys(subjects, 0))
            self._counters.update({(row["topic"], row["subject"]): row["last"] for row in known})
        reached: dict[tuple[str, str], int] = {}
        numbers = []
        for row in rows:
            if not row["subject"]:
                numbers.append(0)
                continue
            key = (row["topic"], row["subject"])
            last = reached.get(key, self._counters[key])
            numbers.append(row["sequence"] or last + 1)
            reached[key] = max(last, numbers[-1])
        return numbers

    async def _mark(self, rows: Sequence[DictRow], ids: list[str], numbers: list[int]) -> None:
        async with self._pool.transaction() as tx:
            await self._write_marks(tx, rows, ids, numbers)
        for topic, count in Counter(row["topic"] for row in rows).items():
            _published.labels(topic).inc(count)

    async def _write_marks(
        self, tx: Connection, rows: Sequence[DictRow], ids: list[str], numbers: list[int]
    ) -> None:
        await tx.execute(sql(__package__, "mark_published"), [[row["id"] for row in rows], ids, numbers])
        reached: dict[tuple[str, str], int] = {}
        for row, number in zip(rows, numbers, strict=True):
            if number:
                key = (row["topic"], row["subject"])
                reached[key] = max(number, reached.get(key, self._counters.get(key, 0)))
        if reached:
            topics, subjects = zip(*sorted(reached), strict=True)
            last = [reached[key] for key in sorted(reached)]
            await tx.execute(sql(__package__, "raise_counters"), [list(topics), list(subjects), last])
        self._counters.update(reached)

    async def _keep_house(self) -> None:
        waiting: dict[str, Any] = await self._pool.fetch_one(sql(__package__, "count_unpublished")) or {}
        _pending.labels(self._database).set(waiting["pending"])
        _delayed.labels(self._database).set(waiting["delayed"])
        _lag.labels(self._database).set(waiting["lag"])
        await self._pool.execute(sql(__package__, "prune_outbox"), [self._retention])
        await self._pool.execute(sql(__package__, "prune_inbox"), [self._inbox_retention])
