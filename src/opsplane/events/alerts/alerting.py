"""Alerting: topics are held against their thresholds, and messages about them sent until they arrive."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from opsplane.clock import SYSTEM, Clock
from opsplane.database import Connection, Pool, sql
from opsplane.events import deadletters
from opsplane.events.alerts import message, webhook
from opsplane.events.backbone import ROOM
from opsplane.events.configuration import Alerts, EventsFile
from opsplane.events.deadletters import Selection
from opsplane.events.thresholds import threshold
from opsplane.resilience import Backoff, Stop
from opsplane.telemetry import counter, gauge, get_logger

log = get_logger("events")
_firing = gauge("dlq_alert_firing", "Whether a topic has too many dead letters.", ["topic"])
_messages = counter("dlq_alert_messages_total", "Messages to the webhook.", ["result"])
INTERVAL = 5.0
AT_ONCE = 10
LEASE = 60.0
TRIES = 30
_again = Backoff(1.0, 300.0)


class Alerting:
    """Runs in the `events` role beside everything else, so that a webhook that hangs keeps nothing up.

    Several processes may: a message is decided on in one statement, and tried by one process at a time.
    """

    name = "alerting"

    def __init__(
        self,
        pool: Pool,
        file: EventsFile,
        clock: Clock = SYSTEM,
        *,
        api: str = "",
        timeout: float = webhook.TIMEOUT,
        interval: float = INTERVAL,
    ) -> None:
        self._pool = pool
        self._file = file
        self._clock = clock
        self._api = api
        self._timeout = timeout
        self._interval = interval

    async def run(self, stop: Stop) -> None:
        """Look and send until `stop`."""
        while not await stop.wait(self._interval):
            await self.look()
            await self.send()
            await self._pool.execute(sql(ROOM, "prune_alert_messages"), [self._clock.now()])

    async def look(self) -> int:
        """How many messages were decided on now."""
        wanted = self._file.current.alerts
        stats = await deadletters.stats(self._pool, thresholds=wanted.thresholds)
        over = [topic for topic, facts in stats.items() if facts["exceeded"]]
        for topic, facts in stats.items():
            _firing.labels(topic).set(facts["exceeded"])
        now, count = self._clock.now(), 0
        for topic in over:
            causes = await deadletters.groups(self._pool, Selection(topic=topic))
            async with self._pool.transaction() as tx:
                count += await self._raise(tx, topic, stats[topic], causes, wanted, now)
        async with self._pool.transaction() as tx:
            rows = await (await tx.execute(sql(ROOM, "resolve_alerts"), [over])).fetchall()
            for row in rows:
                await self._resolve(tx, row, wanted, now)
        return count + len(rows)

    async def send(self) -> int:
        """How many messages arrived now."""
        address = self._file.current.alerts.webhook
        if address is None:
            return 0
        facts = {"now": self._clock.now(), "lease": LEASE, "most": AT_ONCE}
        rows = await self._pool.fetch(sql(ROOM, "take_alert_messages"), facts)
        return sum(await asyncio.gather(*(self._try(address, row) for row in rows)))

    async def _raise(
        self,
        tx: Connection,
        topic: str,
        facts: dict[str, Any],
        causes: list[DictRow],
        wanted: Alerts,
        now: datetime,
    ) -> bool:
        chosen = {"topic": topic, "now": now, "cooldown": float(wanted.cooldown)}
        row = await (await tx.execute(sql(ROOM, "raise_alert"), chosen)).fetchone()
        if row is None:
            return False
        log.warning("events.alert_raised", topic=topic, count=facts["count"], threshold=facts["threshold"])
        links = message.Links(self._api, wanted.runbooks)
        payload = message.firing(topic, facts["count"], facts["threshold"], row["raised_at"], causes, links)
        await self._write(tx, topic, "firing", payload, wanted, now)
        return True

    async def _resolve(self, tx: Connection, row: DictRow, wanted: Alerts, now: datetime) -> None:
        log.info("events.alert_resolved", topic=row["topic"])
        most = threshold(row["topic"], wanted.thresholds)
        payload = message.resolved(
            row["topic"], most, row["raised_at"], message.Links(self._api, wanted.runbooks)
        )
        await self._write(tx, row["topic"], "resolved", payload, wanted, now)

    async def _write(
        self, tx: Connection, topic: str, kind: str, payload: Any, wanted: Alerts, now: datetime
    ) -> None:
        if wanted.webhook is not None:
            facts = {"topic": topic, "kind": kind, "payload": Jsonb(payload), "now": now}
            await tx.execute(sql(ROOM, "insert_alert_message"), facts)

    async def _try(self, address: str, row: DictRow) -> bool:
        facts = {"id": row["id"], "now": self._clock.now()}
        try:
            await webhook.post(address, row["payload"], timeout=self._timeout)
        except webhook.NotDelivered as error:
            left = row["tries"] < TRIES
            again = facts["now"] + timedelta(seconds=_again.delay(row["tries"])) if left else None
            _messages.labels("failed" if left else "given_up").inc()
            log.warning(
                "events.alert_not_delivered", topic=row["topic"], kind=row["kind"], tries=row["tries"],
                again=left, error=error.message,
            )  # fmt: skip
            failed = {**facts, "error": error.message, "again": again}
            await self._pool.execute(sql(ROOM, "alert_message_failed"), failed)
            return False
        _messages.labels("sent").inc()
        await self._pool.execute(sql(ROOM, "alert_message_sent"), facts)
        return True


async def alerts(pool: Pool) -> list[DictRow]:
    """The alerts there are and were, and what became of the last message about each."""
    return await pool.fetch(sql(ROOM, "list_alerts"))
