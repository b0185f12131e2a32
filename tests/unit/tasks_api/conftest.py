"""The operations API as a process serves it: a real server, real tokens, PostgreSQL and the local object store."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from opsplane.commerce.order import invoices
from opsplane.database import Doorbell, Pool, append_audit, migrate
from opsplane.embedded.keys import ensure_keys
from opsplane.embedded.ports import free_ports
from opsplane.events import Outbox
from opsplane.files import LocalStore, upload_handlers
from opsplane.resilience import Retry, Stop, run_duties
from opsplane.tasks import (
    BulkBook,
    LimitBook,
    Producer,
    RemoteWork,
    Rescuer,
    ScheduleBook,
    Scheduler,
    TaskContext,
    TaskControl,
    TaskStore,
    TaskType,
    task,
    task_schemas,
)
from opsplane.tasks.api import LiveTasks, TaskDesk, UploadHook, handlers
from opsplane.telemetry import Health
from opsplane.web import TokenIssuer, Verifier, create_app, serve

BASE = "/api/v1/operations"


class CountParams(msgspec.Struct, forbid_unknown_fields=True):
    upto: int
    name: str = "all"


@task("number.count", entity="number", service="number")
async def count(ctx: TaskContext, params: CountParams) -> None:
    """Only ever created here."""


@task("order.export", service="order")
async def export(ctx: TaskContext, params: dict[str, Any]) -> None:
    """Only ever created here."""


render = replace(invoices.render, service="order", retry=Retry(2, "1s"))


class Api:
    """The served API and everything behind it."""

    def __init__(self, pool: Pool, directory: Path, port: int) -> None:
        ensure_keys(directory)
        keys = directory / "issuer.pem", directory / "jwks.json"
        self.issuer = TokenIssuer(*keys, "opsplane", "opsplane")
        self.pool, self.doorbell = pool, Doorbell(pool.dsn)
        self.url = f"http://127.0.0.1:{port}"
        self.types: Sequence[TaskType] = [count, export, render]
        types = self.types
        outbox = self.outbox = Outbox(task_schemas(), "operations", self.doorbell)
        self.objects = LocalStore(directory / "objects", "common-operations", "key", self.url)
        self.control = TaskControl(pool, outbox, self.doorbell)
        self.store = TaskStore(pool)
        self.producer = Producer(pool, types, outbox, self.doorbell)
        self.live = LiveTasks(pool, self.doorbell)
        self.remote = RemoteWork(pool, types, outbox, self.doorbell)
        self.desk = TaskDesk(
            store=self.store,
            producer=self.producer,
            control=self.control,
            limits=LimitBook(pool, self.doorbell),
            bulk=BulkBook(pool, self.doorbell),
            schedules=ScheduleBook(self.producer, self.doorbell),
            scheduler=Scheduler(self.producer, self.control, self.doorbell),
            live=self.live,
            remote=self.remote,
            objects=self.objects,
            audit=append_audit(pool),
        )
        hook = UploadHook(self.store, self.objects, self.control)
        self.app = create_app(
            "operations",
            [*handlers(self.desk), *upload_handlers(self.objects, hook)],
            verifier=Verifier(keys[1], "opsplane", "opsplane"),
            health=Health(),
        )
        self.stop = Stop()
        self.clients: list[httpx.AsyncClient] = []

    def by(self, sub: str, *roles: str, tenant: str | None = None) -> httpx.AsyncClient:
        """A client with a token of its own."""
        token = self.issuer.issue(sub, roles, tenant=tenant)
        client = httpx.AsyncClient(
            base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=20.0
        )
        self.clients.append(client)
        return client

    @property
    def staff(self) -> httpx.AsyncClient:
        return self.by("sam", "operations_staff")

    async def create(self, client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
        answer = await client.post(
            f"{BASE}/tasks", json={"taskType": "number.count", "params": {"upto": 3}, **more}
        )
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    @asynccontextmanager
    async def rescuing(self) -> AsyncIterator[None]:
        rescuer = Rescuer(self.pool, self.types, doorbell=self.doorbell, outbox=self.outbox, grace=0.0)
        stop = Stop()
        running = asyncio.create_task(rescuer.run(stop))
        try:
            yield
        finally:
            stop.set()
            await running

    async def start(self, task_id: str) -> None:
        """As a worker does it."""
        await self.pool.execute(
            "update task set status = 1, claimed_at = clock_timestamp(), started_at = clock_timestamp(), updated_at = clock_timestamp(),"
            " attempt = attempt + 1, worker = 1, claim_token = 1 where id = %s",
            [task_id],
        )

    async def finish(self, task_id: str, status: int, *, ring: bool = True, **columns: Any) -> None:
        """As a worker does it; without the bell only the poll is left to find it."""
        given = {name: json.dumps(value) for name, value in columns.items()}
        extra = "".join(f", {name}" for name in given)
        values = "".join(", %s::jsonb" for _ in given)
        await self.pool.execute(
            "with gone as (delete from task where id = %s returning *) insert into task_history (id, created_at,"
            " started_at, completed_at, status, prio, emit, attempt, retry_count, max_retries, queue, task_type,"
            f" tenant, params, requested_by, input_key, processed_records, failed_records{extra}) select id,"
            " created_at, started_at, clock_timestamp(), %s, prio, emit, attempt, retry_count, max_retries, queue,"
            f" task_type, tenant, params, requested_by, input_key, processed_records, failed_records{values} from gone",
            [task_id, status, *given.values()],
        )
        if ring:
            self.doorbell.ring("opsplane_task_progress", task_id)

    async def say(self, task_id: str, *messages: str) -> None:
        """Log lines, as a worker writes them."""
        for message in messages:
            await self.pool.execute(
                "insert into task_log (task_id, level, message) values (%s, 'info', %s)", [task_id, message]
            )
        self.doorbell.ring("opsplane_task_progress", task_id)

    async def audited(self) -> list[tuple[str, str]]:
        rows = await self.pool.fetch("select actor, action from audit order by id")
        return [(row["actor"], row["action"]) for row in rows]


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Api]:
    pool = await Pool.open(database, max_size=6)
    for source in ("database.audit_migrations", "events.migrations", "tasks.migrations"):
        await migrate(pool, source, f"opsplane.{source}")
    port = free_ports(1)[0]
    api = Api(pool, tmp_path, port)
    serving = [
        asyncio.create_task(serve(api.app, "127.0.0.1", port, api.stop, grace=2)),
        asyncio.create_task(run_duties([api.live, api.remote.dealer], api.stop)),
    ]
    await _listening(port)
    yield api
    for client in api.clients:
        await client.aclose()
    api.stop.set()
    await asyncio.gather(*serving)
    await api.doorbell.close()
    await pool.close()


async def until(question: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := await question()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)
    return answer


async def _listening(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        await asyncio.sleep(0.02)
    raise AssertionError("the server did not start")


@asynccontextmanager
async def listening(client: httpx.AsyncClient, task_id: str) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
    """The events of a task's stream."""
    async with client.stream("GET", f"{BASE}/tasks/{task_id}/stream") as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer)


async def _events(answer: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    name = ""
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            yield name, json.loads(line[6:])
