"""Checks of the platform: each is silent when all is well and finds the fault that was planted."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
from importlib import resources

import psycopg
import pytest

from opsplane.files import LocalStore
from opsplane.ops import Role
from opsplane.ops.checks.database import Connections, Migrations, Snapshots
from opsplane.ops.checks.engines import Engines
from opsplane.ops.checks.platform import Disk, Objects, Roles


async def test_an_engine_that_cannot_be_reached(look) -> None:
    assert await look(Engines()) == []
    stopped = Role("postgres", "engine", "stopped")
    finding = await look.one(Engines(), absent={"postgres": "Connection refused"}, roles=[stopped])
    assert finding.evidence == {"name": "postgres", "error": "Connection refused", "health": "stopped"}
    assert finding.repair == look.command("up --detach --only postgres")
    assert finding.severity == "critical"

    hangs = Role("valkey", "engine", "healthy")
    finding = await look.one(Engines(), absent={"valkey": "silent"}, roles=[hangs])
    assert finding.repair == look.restart("valkey")
    finding = await look.one(Engines(), absent={"valkey": "silent"}, roles=[])
    assert finding.repair == look.command("up --detach")
    finding = await look.one(Engines(), absent={"order": "did not answer"})  # one database, not the server
    assert finding.summary == "The database order cannot be reached."
    assert finding.repair == look.command("logs postgres")
    finding = await look.one(Engines(), absent={"objects": "no such bucket"})
    assert (finding.runbook, finding.repair) == ("docs/runbooks/object-store.md", look.command("doctor"))


async def test_a_role_that_is_not_healthy(look) -> None:
    assert await look(Roles()) == []
    finding = await look.one(
        Roles(), roles=[Role("search", "role", "stopped"), Role("order", "role", "healthy")]
    )
    assert finding.evidence == {"name": "search", "health": "stopped", "restarts": 0}
    assert finding.repair == look.command("up --detach --only search")
    finding = await look.one(Roles(), roles=[Role("search", "role", "unhealthy")])
    assert finding.repair == look.restart("search")
    assert await look(Roles(), roles=[Role("postgres", "engine", "stopped")], absent={"postgres": "x"}) == []


async def test_a_full_disk(look) -> None:
    assert await look(Disk(free=1, share=0.0)) == []
    finding = await look.one(Disk(free=1 << 62, share=1.0))
    assert 0 < finding.evidence["freeBytes"] <= finding.evidence["totalBytes"]
    assert (finding.repair, finding.severity) == (look.command("doctor"), "critical")


async def test_a_snapshot_of_another_user_and_the_command_that_ends_it(look, database: str) -> None:
    assert await look(Snapshots()) == []
    with psycopg.connect(database, application_name="somebody's psql") as holder:
        holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        holder.execute("select 1")
        await asyncio.sleep(0.1)
        found = await look(Snapshots(seconds=0.05))
        (finding,) = [one for one in found if one.evidence["pid"] == holder.info.backend_pid]
        assert finding.evidence["application"] == "somebody's psql"
        assert finding.since is not None
        assert finding.repair == f"kill -TERM {holder.info.backend_pid}"
        subprocess.run(shlex.split(finding.repair), check=True)
        with pytest.raises(psycopg.OperationalError):
            holder.execute("select pg_sleep(20)")
    assert await look(Snapshots(seconds=0.05)) == []


async def test_a_snapshot_of_a_role_is_ended_by_restarting_it(look, database: str) -> None:
    with psycopg.connect(database, application_name="opsplane order") as holder:
        holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        holder.execute("select 1")
        await asyncio.sleep(0.1)
        assert (await look.one(Snapshots(seconds=0.05))).repair == look.restart("order")


async def test_connections_near_the_limit(look, database: str) -> None:
    assert await look(Connections()) == []
    crowd = [psycopg.connect(database, application_name="opsplane order") for _ in range(20)]
    try:
        finding = await look.one(Connections(share=0.1))
    finally:
        for one in crowd:
            one.close()
    assert finding.evidence["taken"] > 0.1 * finding.evidence["most"]
    assert finding.evidence["by"]["opsplane order"] == 20
    assert finding.repair == look.restart("order")


MIGRATIONS = resources.files("opsplane.tasks.migrations").iterdir()
ALL = sorted(int(one.name[:4]) for one in MIGRATIONS if one.name.endswith(".sql"))


@pytest.mark.parametrize(
    ("fault", "kind", "numbers"),
    [
        ("delete from opsplane_migration where source = 'tasks'", "missing", ALL),
        ("insert into opsplane_migration values ('tasks', 9999, 'of_tomorrow', 'x')", "newer", [9999]),
        ("update opsplane_migration set checksum = 'x' where source = 'tasks'", "changed", ALL),
    ],
)
async def test_tables_of_another_version(look, fault: str, kind: str, numbers: list[int]) -> None:
    assert await look(Migrations()) == []
    await look.sql(fault)
    finding = await look.one(Migrations())
    assert finding.evidence["source"] == "tasks"
    assert {name: finding.evidence[name] for name in ("missing", "newer", "changed")} == {
        "missing": [], "newer": [], "changed": [], kind: numbers,
    }  # fmt: skip
    if kind == "missing":
        assert (finding.repair, finding.first) == (look.restart("operations"), None)
    else:
        assert "Install the version" in (finding.first or "")


class Forgetful(LocalStore):
    async def read(self, key: str) -> bytes:
        return (await super().read(key))[1:]


class Keeping(LocalStore):
    async def delete(self, key: str) -> None:
        return None


async def test_the_object_store_gives_back_what_it_was_given(look, tmp_path) -> None:
    assert await look(Objects()) == []
    assert [one async for one in look.scene.objects.list()] == []
    finding = await look.one(Objects(), objects=Forgetful(tmp_path / "other", "bucket", "key"))
    assert finding.evidence["step"] == "give back"
    finding = await look.one(Objects(), objects=Keeping(tmp_path / "other", "bucket", "key"))
    assert finding.evidence["step"] == "delete"

    data = tmp_path / "objects" / "bucket" / "data"
    data.rmdir() if not any(data.iterdir()) else data.rename(tmp_path / "aside")
    data.write_text("no directory any more")
    finding = await look.one(Objects())
    assert finding.evidence["step"] == "write"
    assert (finding.severity, finding.runbook) == ("critical", "docs/runbooks/object-store.md")
