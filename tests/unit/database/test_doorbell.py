"""The doorbell wakes listeners, merges rings, and survives the loss of its connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from opsplane.database import Doorbell, Pool


@pytest.fixture
async def doorbell(database: str) -> AsyncIterator[Doorbell]:
    bell = Doorbell(database)
    yield bell
    await bell.close()


async def test_rings_are_heard_and_merged(doorbell: Doorbell) -> None:
    async with doorbell.listen("work") as bell, doorbell.listen("other") as other:
        for number in range(500):
            doorbell.ring("work", str(number))
        heard: set[str] = set()
        while len(heard) < 500:
            fresh = await bell.wait(5)
            assert fresh
            heard |= fresh
        assert heard == {str(number) for number in range(500)}
        assert await other.wait(0.05) == set()


async def test_second_channel_is_heard_without_losing_the_first(doorbell: Doorbell) -> None:
    async with doorbell.listen("first") as first, doorbell.listen("second") as second:
        doorbell.ring("first", "a")
        doorbell.ring("second", "b")
        assert await first.wait(5) == {"a"}
        assert await second.wait(5) == {"b"}


async def test_listener_returns_after_its_session_was_killed(database: str, doorbell: Doorbell) -> None:
    pool = await Pool.open(database)
    async with doorbell.listen("work") as bell:
        await pool.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and query ilike 'listen%%'",
            [],
        )
        async with asyncio.timeout(20):
            while True:
                doorbell.ring("work", "again")
                if await bell.wait(0.2):
                    break
    await pool.close()
