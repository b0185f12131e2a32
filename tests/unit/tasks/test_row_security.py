"""A database that was not made by the platform has no role for viewers: the migration says so and changes nothing."""

from __future__ import annotations

import psycopg
import pytest

from opsplane.database import Pool, migrate
from opsplane.embedded import Postgres


async def test_without_the_role_the_migration_names_the_commands_that_make_it(
    postgres: Postgres, database: str
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    with psycopg.connect(postgres.superuser_dsn, autocommit=True) as superuser:
        superuser.execute(f"revoke {name}_viewer from {name}")
    pool = await Pool.open(database)
    try:
        with pytest.raises(Exception, match=r"is missing, or .* may not take it on") as caught:
            await migrate(pool, "tasks", "opsplane.tasks.migrations")
        assert f"create role {name}_viewer nologin; grant {name}_viewer to {name};" in str(caught.value)
        tables = "select relrowsecurity as secured from pg_class where relname = 'task'"
        assert [row["secured"] for row in await pool.fetch(tables)] in ([], [False])
        with psycopg.connect(postgres.superuser_dsn, autocommit=True) as superuser:
            superuser.execute(f"grant {name}_viewer to {name}")
        await migrate(pool, "tasks", "opsplane.tasks.migrations")
        assert [row["secured"] for row in await pool.fetch(tables)] == [True]
    finally:
        await pool.close()
