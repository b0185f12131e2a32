"""Connections that died are not handed out; callbacks of a transaction come when it committed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import psycopg
import pytest

from opsplane.database import DatabaseUnavailable, Pool, after_commit


async def _terminate_all(dsn: str) -> int:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as other:
        ended = await other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return len(await ended.fetchall())


async def test_sessions_the_server_ended_are_replaced_and_never_handed_out(database: str) -> None:
    pool = await Pool.open(database, min_size=4)
    try:
        async with AsyncExitStack() as stack:
            for _ in range(4):
                await stack.enter_async_context(pool.connection())
        assert await _terminate_all(database) >= 4
        answers = await asyncio.gather(*(pool.fetch_one("SELECT 1 AS one") for _ in range(8)))
        assert [row and row["one"] for row in answers] == [1] * 8
    finally:
        await pool.close()


async def test_looking_whether_a_session_is_there_asks_the_server_nothing(database: str) -> None:
    pool = await Pool.open(database, min_size=1, max_size=1)
    try:
        async with pool.connection() as connection:
            pid = connection.info.backend_pid
            await connection.execute("SELECT 'the last statement'")
        async with pool.connection() as connection:
            assert connection.info.backend_pid == pid
            async with await psycopg.AsyncConnection.connect(database) as other:
                row = await (
                    await other.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [pid])
                ).fetchone()
        assert row == ("SELECT 'the last statement'",)
    finally:
        await pool.close()


async def _fail_after_asking(pool: Pool, callback: Callable[[], None]) -> None:
    async with pool.transaction() as tx:
        after_commit(tx, callback)
        await tx.execute("SELECT 1 / 0")


async def test_callbacks_come_after_the_commit_once_and_never_after_a_rollback(database: str) -> None:
    pool = await Pool.open(database)
    came: list[str] = []

    def ring() -> None:
        came.append("rung")

    try:
        async with pool.transaction() as tx:
            after_commit(tx, ring)
            after_commit(tx, ring)
            assert came == []
        assert came == ["rung"]
        with pytest.raises(psycopg.errors.DivisionByZero):
            await _fail_after_asking(pool, ring)
        assert came == ["rung"]
    finally:
        await pool.close()


async def test_a_database_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        await Pool.open("postgresql://someone:secret@127.0.0.1:1/shop", timeout=0.5)
    assert "shop at 127.0.0.1:1" in caught.value.message
    assert "secret" not in caught.value.message
