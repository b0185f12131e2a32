from __future__ import annotations

import shlex
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from opsplane.cli.check import OPERATIONS_MIGRATIONS
from opsplane.cli.main import build
from opsplane.database import Pool, migrate
from opsplane.embedded import Postgres
from opsplane.events import connect
from opsplane.files import LocalStore
from opsplane.ops import Finding, Role, Scene

ROOT = Path(__file__).parents[3]
TOPIC, GROUP = "catalog.product.created", "search-service"
ROLES = [Role(name, "role", "healthy") for name in ("operations", "events", "worker", "search", "order")]


class Look:
    """A scene on real engines, and what one check finds in it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.pool = scene.operations
        self.broker = scene.broker

    async def __call__(self, check: Any, **changes: Any) -> list[Finding]:
        found: list[Finding] = await check.look(replace(self.scene, **changes))
        for finding in found:
            assert finding.check == check.name
            assert finding.evidence
            assert (ROOT / finding.runbook).is_file()
            understood(finding.repair)
        return found

    async def one(self, check: Any, **changes: Any) -> Finding:
        (finding,) = await self(check, **changes)
        return finding

    def command(self, text: str) -> str:
        return f"opsplane {text} --state {self.scene.state}"

    def restart(self, role: str) -> str:
        return f"{self.command(f'down --only {role}')} && {self.command(f'up --detach --only {role}')}"

    async def task(self, **fields: Any) -> None:
        """A row of the task table."""
        row = {
            "id": "gen_random_uuid()", "created_at": "clock_timestamp()", "run_at": "clock_timestamp()",
            "status": "0", "prio": "5", "emit": "0", "max_retries": "3", "queue": "'default'",
            "task_type": "'demo'", "tenant": "'t'", "params": "'{}'",
        } | fields  # fmt: skip
        await self.sql(f"insert into task ({', '.join(row)}) values ({', '.join(row.values())})")

    async def sql(self, statement: str) -> list[Any]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []


def understood(repair: str) -> None:
    """The command can be typed: every opsplane part of it is one the command line knows."""
    for part in repair.split(" && "):
        program, *arguments = shlex.split(part)
        assert program in {"opsplane", "kill"}
        if program == "opsplane":
            build().parse_args(arguments, exit_on_error=False, print_error=False)


@pytest.fixture
async def look(postgres: Postgres, database: str, broker_url: str, tmp_path: Path) -> AsyncIterator[Look]:
    pool, administrator = await Pool.open(database), await Pool.open(postgres.superuser_dsn)
    for source, package in OPERATIONS_MIGRATIONS.items():
        await migrate(pool, source, package)
    broker = connect(broker_url)
    scene = Scene(
        state=tmp_path,
        broker=broker,
        pools={"operations": pool, "postgres": administrator},
        objects=LocalStore(tmp_path / "objects", "bucket", "key"),
        roles=ROLES,
        groups={GROUP: [TOPIC]},
        owners={GROUP: "search"},
        migrations={"operations": OPERATIONS_MIGRATIONS},
    )
    yield Look(scene)
    await broker.close()
    await pool.close()
    await administrator.close()
