"""A disk that is full in the middle of an import: a clear error, nothing half done, and a retry goes on.

The operations database has room. What is on the small disk is the rows of the service's database or its write-ahead log
(PostgreSQL stops then); `test_store_full.py` has the object store.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest
from tests.faults.import_lab import ImportLab, import_lab
from tests.faults.import_process import THING
from tests.faults.small_disk import MIB, SmallDisk, small_disk
from tests.faults.things import prepare, written

from opsplane.database import Pool
from opsplane.embedded import Postgres
from opsplane.embedded.account import own_directory, unprivileged
from opsplane.embedded.ports import free_ports
from opsplane.files import LocalStore, OutOfSpace, Selection, StoredObject, run_export
from opsplane.tasks import Task

ROWS, PADDING, DISK = 50_000, 400, 256 * MIB
BARE = ("Traceback", "psycopg", "could not", "server closed", "SSL", "PANIC")
Part = Literal["rows", "log"]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory the engine may enter."""
    path = Path(tempfile.mkdtemp(prefix="opsplane-disk-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)  # the disk is unmounted by then


class Service:
    """A service's database with one part of it on a small disk."""

    def __init__(self, server: Postgres, disk: SmallDisk) -> None:
        self.server, self.disk = server, disk
        self.dsn = server.dsn("service", "service", "service")

    async def repaired(self) -> None:
        """Free the disk, and start PostgreSQL where it gave up."""
        self.disk.free()
        child = self.server.child
        assert child is not None
        for _ in range(600):
            if child.exit_code is not None:
                await asyncio.to_thread(self.server.start)
            if await asyncio.to_thread(self.server.ready):
                return
            await asyncio.sleep(0.1)
        raise AssertionError("PostgreSQL did not come back")


@contextmanager
def service_on(place: Path, part: Part, size: int) -> Iterator[Service]:
    server = Postgres(
        place / "postgres",
        port=free_ports(1)[0],
        password=secrets.token_urlsafe(8),
        log=place / "postgres.log",
        settings={"shared_buffers": "32MB", "max_wal_size": "256MB"},
    )
    with small_disk(place / "disk", size) as disk:
        own = own_directory(disk.path / part, unprivileged())
        if part == "log":
            server.prepare()
            shutil.copytree(server.data / "pg_wal", own, dirs_exist_ok=True)
            _give(own)
            shutil.rmtree(server.data / "pg_wal")
            (server.data / "pg_wal").symlink_to(own)
        server.start()
        try:
            server.provision({"service": "service"})
            if part == "rows":
                with psycopg.connect(server.superuser_dsn, autocommit=True) as connection:
                    connection.execute(f"create tablespace small location '{own}'".encode())
                    connection.execute("alter database service set tablespace small")
            yield Service(server, disk)
        finally:
            server.stop()


def _give(directory: Path) -> None:
    account = unprivileged()
    for path in directory.rglob("*"):
        if account is not None:
            shutil.chown(path, account.uid, account.gid)


@asynccontextmanager
async def lab_on(service: Service, operations: str, place: Path, **options: Any) -> AsyncIterator[ImportLab]:
    async with import_lab(operations, service.dsn, place / "objects", **options) as lab:
        yield lab


def things(policy: str) -> bytes:
    """The file of an import; one that is to apply all rows or none has no bad ones."""
    return written(ROWS, padding=PADDING, bad=policy == "skip")


def told_clearly(task: Task) -> bool:
    """What is full, where, what to do; nothing only a programmer understands."""
    text = task.error_message or ""
    told = ("service at 127.0.0.1", f"opsplane task retry {task.id}")
    return all(word in text for word in told) and not any(word in text for word in BARE)


ROOMS = [
    pytest.param("rows", "skip", 34 * MIB, id="rows-skip"),
    pytest.param("rows", "abort", 6 * MIB, id="rows-abort-while-reading", marks=pytest.mark.long),
    pytest.param("rows", "abort", 26 * MIB, id="rows-abort-while-applying"),
    pytest.param("log", "skip", 20 * MIB, id="log-skip"),
    pytest.param("log", "abort", 20 * MIB, id="log-abort", marks=pytest.mark.long),
]


@pytest.mark.parametrize(("part", "policy", "room"), ROOMS)
async def test_a_full_database_is_told_and_a_retry_goes_on(
    database: str, place: Path, part: Part, policy: str, room: int
) -> None:
    with service_on(place, part, DISK) as service:
        async with lab_on(service, database, place) as lab:
            service.disk.leave(room)
            failed = await lab.ended(await lab.begin(things(policy), policy, max_retries=0))
            await service.repaired()
            applied = await lab.count("thing")
            done = await lab.again(failed)
            verdict = await lab.verdict(done, ROWS)
    print(f"\n{part} full, {policy}: {applied} of {ROWS} rows stayed; after the retry {verdict}")
    print(failed.error_message)
    assert (failed.status, failed.error_kind) == ("failed", "OutOfSpace")
    assert told_clearly(failed)
    assert 0 < applied < ROWS if policy == "skip" else applied == 0
    assert done.status == "completed", done.error_message
    assert verdict == (0, 0, True)


async def test_control_with_room_enough(database: str, place: Path) -> None:
    with service_on(place, "rows", DISK) as service:
        async with lab_on(service, database, place) as lab:
            done = await lab.ended(await lab.begin(things("skip"), "skip", max_retries=0))
            assert done.status == "completed", done.error_message
            assert await lab.verdict(done, ROWS) == (0, 0, True)


@pytest.mark.long
async def test_room_made_in_time_needs_no_hand(database: str, place: Path) -> None:
    with service_on(place, "rows", DISK) as service:
        async with lab_on(service, database, place) as lab:
            service.disk.leave(34 * MIB)
            task = await lab.begin(things("skip"), "skip")
            await lab.engine.until(lambda: lab.engine.count("task_event", "kind = 'attempt_failed'"), 60)
            await service.repaired()
            done = await lab.ended(task)
            assert (done.status, done.retry_count > 0) == ("completed", True), done.error_message
            assert await lab.verdict(done, ROWS) == (0, 0, True)


async def test_planted_without_the_ledger_the_retry_doubles(database: str, place: Path) -> None:
    with service_on(place, "rows", DISK) as service:
        async with lab_on(service, database, place, planted=True) as lab:
            service.disk.leave(34 * MIB)
            failed = await lab.ended(await lab.begin(things("skip"), "skip", max_retries=0))
            await service.repaired()
            done = await lab.again(failed)
            assert (await lab.verdict(done, ROWS)).twice > 0


async def test_a_database_that_stops_under_an_import_is_told(database: str, place: Path) -> None:
    """As when another session meets the full log: its end ends every session."""
    with service_on(place, "rows", DISK) as service:
        async with lab_on(service, database, place) as lab:
            with closing(psycopg.connect(service.dsn)) as other:
                other.execute("lock table thing")
                task = await lab.begin(things("skip"), "skip", max_retries=0)
                await lab.engine.until(partial(waits_for_lock, service), 60)
                os.kill(other.info.backend_pid, signal.SIGKILL)
                failed = await lab.ended(task)
            assert (failed.status, failed.error_kind) == ("failed", "DatabaseUnavailable")
            assert told_clearly(failed), failed.error_message
            done = await lab.again(failed)
            assert await lab.verdict(done, ROWS) == (0, 0, True)


async def test_an_export_that_has_no_room_to_sort_is_told(place: Path) -> None:
    with service_on(place, "rows", DISK) as service:
        pool = await Pool.open(service.dsn)
        await prepare(pool)
        await pool.execute(
            "insert into thing select md5(n::text), n, repeat('x', 400) from generate_series(1, 50000) n"
        )
        target = StoredObject(LocalStore(place, "files", "secret", "http://files.test"), "out.csv")
        by_name = Selection(order_by=("name",))
        service.disk.leave(MIB)
        with pytest.raises(OutOfSpace, match="disk of the database service at"):
            await run_export(pool, THING, target, by_name)
        assert [one async for one in target.store.list()] == []
        service.disk.free()
        assert (await run_export(pool, THING, target, by_name)).rows == 50_000
        await pool.close()


async def waits_for_lock(service: Service) -> bool:
    async with await psycopg.AsyncConnection.connect(service.dsn) as connection:
        row = await (await connection.execute("select from pg_locks where not granted")).fetchone()
        return row is not None
