"""An object store whose disk is full: an object is there whole or not at all, and the error says what to do."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from tests.faults.import_lab import import_lab
from tests.faults.import_process import THING
from tests.faults.small_disk import MIB, SmallDisk, small_disk
from tests.faults.things import number, prepare, written
from tests.unit.files.serving import client_of

from opsplane.database import Pool
from opsplane.embedded import Postgres
from opsplane.files import LocalStore, ObjectInfo, OutOfSpace, StoredObject, TableSink, run_import

PAGE, ROWS = 4096, 20_000
OLD, NEW = b"old" * 1000, b"new" * PAGE
CSV = {"Content-Type": "text/csv"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 8 * MIB, files=200) as disk:
        yield disk


@pytest.fixture
def store(disk: SmallDisk) -> LocalStore:
    return LocalStore(disk.path / "objects", "files", "secret", "http://files.test")


@pytest.fixture
def service(postgres: Postgres) -> Iterator[str]:
    """The DSN of the service's own database."""
    name = f"service_{secrets.token_hex(4)}"
    postgres.provision({name: name})
    yield postgres.dsn(name, name, name)
    with psycopg.connect(postgres.superuser_dsn, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)".encode())
        connection.execute(f"drop role {name}".encode())


@pytest.fixture
async def pool(service: str) -> AsyncIterator[Pool]:
    pool = await Pool.open(service)
    await prepare(pool)
    yield pool
    await pool.close()


async def blocks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), PAGE):
        yield data[start : start + PAGE]


async def left(store: LocalStore) -> dict[str, bytes | str]:
    """What the store has: objects, and anything that is still arriving."""
    found: dict[str, bytes | str] = {one.key: await store.read(one.key) async for one in store.list()}
    found.update({path.name: "arriving" for path in (store.root / "incoming").iterdir()})
    return found


async def put(store: LocalStore) -> bool:
    """Whether a new object took the place of the old one."""
    try:
        await store.put("t/1/new.csv", blocks(NEW), "text/csv")
    except OutOfSpace:
        return False
    return True


async def test_an_upload_that_does_not_fit_is_told_and_may_be_repeated(
    disk: SmallDisk, store: LocalStore
) -> None:
    body = b"x" * MIB
    signed = await store.presign_put("t/1/input.csv", "text/csv", size=len(body))
    disk.leave(MIB // 2)
    async with client_of(store) as client:
        full = await client.put(signed.url, content=body, headers=CSV)
        assert (full.status_code, full.json()["error"]) == (507, "OutOfSpace")
        assert "no room on the disk for t/1/input.csv" in full.json()["detail"]
        assert "Free space" in full.json()["remedy"]
        assert await left(store) == {}
        small = await store.presign_put("t/2/input.csv", "text/csv", size=5)
        assert (await client.put(small.url, content=b"a,b\n1", headers=CSV)).status_code == 200, "the control"
        disk.free()
        assert (await client.put(signed.url, content=body, headers=CSV)).status_code == 200
    assert await left(store) == {"t/1/input.csv": body, "t/2/input.csv": b"a,b\n1"}


@pytest.mark.parametrize("old", [b"", OLD], ids=["new", "replaced"])
@pytest.mark.parametrize("limit", ["bytes", "files"])
async def test_wherever_the_room_ends_an_object_is_whole_or_as_before(
    disk: SmallDisk, store: LocalStore, old: bytes, limit: str
) -> None:
    outcomes = []
    for room in range(8):
        if old:
            await store.put("t/1/new.csv", old, "text/plain")
        if limit == "bytes":
            disk.leave(room * PAGE)
        else:
            disk.leave_files(room)
        before = await left(store)
        outcomes.append(await put(store))
        assert await left(store) == ({**before, "t/1/new.csv": NEW} if outcomes[-1] else before)
        info = await store.head("t/1/new.csv")
        assert (info.content_type if info else None) == (
            "text/csv" if outcomes[-1] else "text/plain" if old else None
        )
        disk.free()
        await store.delete("t/1/new.csv")
    assert outcomes == sorted(outcomes), "more room is never worse"
    assert set(outcomes) == {False, True}, "both were met"


async def test_planted_a_store_that_writes_in_place_leaves_half(disk: SmallDisk) -> None:
    class Careless(LocalStore):
        async def put(self, key: str, data: AsyncIterator[bytes], *_: object) -> ObjectInfo:  # type: ignore[override]
            target = self._data / key
            target.parent.mkdir(parents=True)
            with target.open("wb", buffering=0) as file:
                try:
                    async for block in data:
                        file.write(block)
                except OSError as error:
                    raise OutOfSpace(f"Free space for {key}") from error
            raise AssertionError("it fitted")

    store = Careless(disk.path / "objects", "files", "secret", "http://files.test")
    disk.leave(PAGE)
    assert not await put(store)
    assert [path.read_bytes() for path in store.root.rglob("new.csv")] == [NEW[:PAGE]]


@pytest.mark.parametrize("policy", ["skip", "abort"])
async def test_an_error_file_that_does_not_fit_is_written_by_the_retry(
    database: str, service: str, disk: SmallDisk, policy: str
) -> None:
    good = ROWS - ROWS // 100
    async with import_lab(database, service, disk.path / "objects") as lab:
        task = await lab.create(written(ROWS), policy, max_retries=0)
        disk.leave(2 * PAGE)
        failed = await lab.ended(await lab.start(task))
        assert (failed.status, failed.error_kind, failed.error_file) == ("failed", "OutOfSpace", None)
        assert f"no room on the disk for default/{task.id}/errors.csv" in (failed.error_message or "")
        assert f"opsplane task retry {task.id}" in (failed.error_message or "")
        assert list(await left(lab.store)) == [task.input_key]
        assert await lab.count("thing") == (good if policy == "skip" else 0)
        disk.free()
        done = await lab.again(failed)
        missing, twice, exact = await lab.verdict(done, ROWS)
    assert (done.status, done.error_kind) == (
        ("completed", None) if policy == "skip" else ("failed", "RowsRefused")
    )
    assert (missing, twice, exact) == (0 if policy == "skip" else good, 0, True)


@pytest.mark.parametrize("rows", [20, ROWS], ids=["within a buffer", "many blocks"])
async def test_a_copy_of_a_remote_file_that_does_not_fit_is_told(
    pool: Pool, disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    class Remote(LocalStore):
        def local_path(self, key: str) -> None:
            return None

    store = Remote(tmp_path / "objects", "files", "secret", "http://files.test")
    await store.put("in.csv", written(rows))
    (disk.path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(disk.path / "tmp"))
    sink = TableSink(pool, THING, "1")
    for room in (0, 13 * PAGE, 77 * PAGE) if rows == ROWS else (0,):
        disk.leave(room)
        with pytest.raises(OutOfSpace, match="Free space in") as told:
            await run_import(StoredObject(store, "in.csv"), THING, sink)
        assert "nothing was imported" in str(told.value)
        disk.free()
        assert list((disk.path / "tmp").iterdir()) == []
    assert await number(pool, "select count(*) as n from thing") == 0
    report = await run_import(StoredObject(store, "in.csv"), THING, sink)
    assert report.total == rows
