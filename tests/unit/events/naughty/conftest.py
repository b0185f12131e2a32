from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis.asyncio as redis
import structlog

from opsplane.clock import SYSTEM
from opsplane.database import Doorbell, Pool, migrate
from opsplane.embedded.keys import ensure_keys
from opsplane.events import (
    ConsumerGroup,
    Entry,
    Outbox,
    Reject,
    Relay,
    RetryMover,
    Schemas,
    Service,
    connect,
    consumer,
    deadletters,
    new_event,
)
from opsplane.events.actions import RETRY, RetryLetters
from opsplane.events.api import handlers
from opsplane.events.backbone import Backbone
from opsplane.events.checkpoints import Checkpoints
from opsplane.events.deadletters import DeadLetterKeeper, Replayer, Selection
from opsplane.events.direct import DirectPublisher
from opsplane.resilience import Retry, Stop, run_duties
from opsplane.telemetry import Health, configure_logging
from opsplane.web import TokenIssuer, Verifier, create_app

DATA = Path(__file__).parents[3] / "data"
BLNS: list[str] = json.loads((DATA / "blns" / "blns.json").read_text(encoding="utf-8"))
JSON_FILES = sorted((DATA / "json_test_suite" / "test_parsing").glob("*.json"))
TOPIC, GROUP = "naughty.text.sent", "naughty-reader"
DLQ = "/api/v1/admin/dlq"


class Chain:
    """One topic whose events may hold anything, one group that does with them what a test says, and all duties."""

    def __init__(self, pool, broker, store, schemas, doorbell, client, log):
        self.pool, self.broker, self.store, self.schemas = pool, broker, store, schemas
        self.doorbell, self.client, self._log = doorbell, client, log
        self.outbox = Outbox(schemas, "catalog", doorbell)
        self.calls: dict[str, int] = {}
        self.handled: dict[str, Any] = {}
        self.fail_until = 0  # calls of one event that fail: the first by a timeout, which is retried
        self.group = self._group()

    def _group(self) -> ConsumerGroup:
        @consumer(TOPIC, group=GROUP, retry=Retry(1, "10ms"), dead_letters="naughty-events")
        async def read(event, ctx) -> None:
            number = self.calls[event.id] = self.calls.get(event.id, 0) + 1
            if number <= self.fail_until:
                text = event.data["text"] if isinstance(event.data, dict) and "text" in event.data else "no"
                raise TimeoutError(text) if number == 1 else Reject(str(text))
            self.handled[event.id] = event.data

        service = Service("naughty", self.pool, self.outbox, SYSTEM)
        return ConsumerGroup([read], service, self.broker, self.schemas)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Group, relay and the duties of the events role run; at the end none of them has failed."""
        keeper = DeadLetterKeeper(self.pool, self.broker)
        duties = [
            self.group,
            Relay("naughty", self.pool, self.broker, self.doorbell),
            RetryMover(self.broker, [GROUP], SYSTEM),
            keeper,
            Replayer(self.pool, self.broker),
            Checkpoints(self.pool, self.broker, keeper.ingest.step),
        ]
        stop = Stop()
        task = asyncio.create_task(run_duties(duties, stop))
        try:
            yield
            await self.is_alive()
        finally:
            stop.set()
            await task
        assert [line for line in self.lines() if line["event"] == "duty.failed"] == []

    async def is_alive(self) -> None:
        """Return when the consumer handles an ordinary event."""
        event, self.fail_until = new_event(TOPIC, "ordinary", source="test"), 0
        async with self.pool.transaction() as tx:
            await self.outbox.publish(tx, event)
        await until(lambda: self.handled.get(event.id) == "ordinary")

    def lines(self) -> list[dict[str, Any]]:
        """Every line of the log, which are as many as anything that reads lines sees."""
        text = self._log.getvalue()
        assert len(text.splitlines()) == text.count("\n")
        return [json.loads(line) for line in text.splitlines()]

    async def bytes_published(self) -> dict[str, bytes]:
        """The bytes on the topic, by entry."""
        return {entry.decode(): fields[b"data"] for entry, fields in await self.store.xrange(TOPIC)}

    async def bytes_on(self, stream: str) -> dict[str, bytes]:
        """The bytes on a dead letter stream, by the entry they came from."""
        return {
            json.loads(fields[b"metadata"])["sourceId"]: fields[b"data"]
            for _, fields in await self.store.xrange(stream)
        }

    async def letters(self, state: str = "waiting") -> dict[str, dict[str, Any]]:
        """Dead letters in a state as their table has them, by the entry they came from."""
        rows = await self.pool.fetch("select * from dead_letter where state = %s", [state])
        return {row["source_id"]: row for row in rows}

    async def force(self, *data: bytes) -> list[str]:
        return await self.broker.publish_many([Entry(TOPIC, one) for one in data])

    async def replay(self) -> None:
        """Replay every waiting dead letter; return when each has its outcome."""
        backbone = Backbone(self.pool, self.broker, "alice")
        wanted = RetryLetters(selection=Selection(everything=True))
        job = await RETRY.apply(backbone, wanted)

        async def over() -> bool:
            found = await deadletters.replay(self.pool, job.id)
            return found.state == "finished"

        await until(over)


async def until(check, timeout: float = 60.0):
    """The first true answer of `check`."""
    async with asyncio.timeout(timeout):
        while True:
            found = check()
            if found := (await found if asyncio.iscoroutine(found) else found):
                return found
            await asyncio.sleep(0.02)


@pytest.fixture
def log():
    """What the process logs from now on."""
    stream, root = io.StringIO(newline="\n"), logging.getLogger()
    before, level = root.handlers[:], root.level
    configure_logging("test", stream)
    yield stream
    root.handlers[:], root.level = before, level
    structlog.reset_defaults()


@pytest.fixture
async def chain(database: str, broker_url: str, tmp_path: Path, log) -> AsyncIterator[Chain]:
    schema = tmp_path / "schemas" / TOPIC / "1.json"
    schema.parent.mkdir(parents=True)
    schema.write_text("{}")
    schemas = Schemas.load(tmp_path / "schemas")
    pool = await Pool.open(database)
    await migrate(pool, "events", "opsplane.events.migrations")
    await migrate(pool, "events-operations", "opsplane.events.operations_migrations")
    await migrate(pool, "audit", "opsplane.database.audit_migrations")
    broker, store, doorbell = connect(broker_url), redis.from_url(broker_url), Doorbell(database)
    (tmp_path / "keys").mkdir()
    ensure_keys(tmp_path / "keys")
    private, jwks = tmp_path / "keys" / "issuer.pem", tmp_path / "keys" / "jwks.json"
    routes = handlers(Backbone(pool, broker), DirectPublisher(broker, schemas), {GROUP: [TOPIC]})
    app = create_app("events", routes, verifier=Verifier(jwks, "opsplane", "opsplane"), health=Health())
    token = TokenIssuer(private, jwks, "opsplane", "opsplane").issue("sam", ["operations_staff"])
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://events", headers=headers) as client:
        yield Chain(pool, broker, store, schemas, doorbell, client, log)
    await doorbell.close()
    await broker.close()
    await store.aclose()
    await pool.close()
