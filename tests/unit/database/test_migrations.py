"""Migrations are applied once, in order, and refuse to run against a history they do not know."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from opsplane.database import Pool, migrate
from opsplane.database.migrations import MigrationChanged, MigrationMissing


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "planted_migrations"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "0001_first.sql").write_text("create table first (id int); insert into first values (1)")
    (folder / "0002_second.sql").write_text("alter table first add column name text")
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("planted_migrations", None)
    return folder


async def test_applied_once_by_many_starters(database: str, package: Path) -> None:
    pools = [await Pool.open(database, max_size=2) for _ in range(4)]
    applied = await asyncio.gather(*(migrate(pool, "planted", package.name) for pool in pools))
    assert max(applied, key=len) == ["first", "second"]
    assert sum(map(len, applied)) == 2
    assert await pools[0].fetch("select id, name from first") == [{"id": 1, "name": None}]
    for pool in pools:
        await pool.close()


async def test_edited_migration_is_refused(database: str, package: Path) -> None:
    pool = await Pool.open(database)
    await migrate(pool, "planted", package.name)
    (package / "0001_first.sql").write_text("create table other (id int)")
    (package / "0003_third.sql").write_text("create table third (id int)")
    with pytest.raises(MigrationChanged, match="0001_first"):
        await migrate(pool, "planted", package.name)
    assert await pool.fetch_one("select to_regclass('third') as found") == {"found": None}
    await pool.close()


async def test_database_of_a_newer_version_is_refused(database: str, package: Path) -> None:
    pool = await Pool.open(database)
    await migrate(pool, "planted", package.name)
    (package / "0002_second.sql").unlink()
    with pytest.raises(MigrationMissing, match="0002"):
        await migrate(pool, "planted", package.name)
    await pool.close()


async def test_failing_migration_leaves_nothing(database: str, package: Path) -> None:
    (package / "0003_broken.sql").write_text("create table half (id int); select 1/0")
    pool = await Pool.open(database)
    with pytest.raises(Exception, match="division by zero"):
        await migrate(pool, "planted", package.name)
    assert await pool.fetch_one("select to_regclass('half') as found") == {"found": None}
    assert len(await pool.fetch("select * from opsplane_migration")) == 2
    await pool.close()
