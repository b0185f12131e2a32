"""There is one leader, and another takes over as soon as its session is gone."""

from __future__ import annotations

import asyncio

from opsplane.action import Actor
from opsplane.database import Leader, Pool, append_audit, migrate
from opsplane.resilience import Stop


async def test_one_leader_at_a_time(database: str) -> None:
    stop, order = Stop(), []

    async def lead(name: str, release: asyncio.Event) -> None:
        async with Leader(database, "relay", poll=0.02).hold(stop) as held:
            assert held
            order.append(name)
            await release.wait()

    first_release, second_release = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(lead("first", first_release))
    while not order:
        await asyncio.sleep(0.01)
    second = asyncio.create_task(lead("second", second_release))
    await asyncio.sleep(0.2)
    assert order == ["first"]
    first_release.set()
    second_release.set()
    await asyncio.gather(first, second)
    assert order == ["first", "second"]


async def test_waiting_for_leadership_ends_on_stop(database: str) -> None:
    holding, waiting = Stop(), Stop()
    async with Leader(database, "relay").hold(holding):
        waiting.set()
        async with Leader(database, "relay").hold(waiting) as held:
            assert held is False


async def test_leader_notices_that_its_session_is_gone(database: str) -> None:
    pool = await Pool.open(database)
    leader = Leader(database, "relay")
    async with leader.hold(Stop()):
        assert await leader.still()
        await pool.execute(
            "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and database ="
            " (select oid from pg_database where datname = current_database())"
        )
        assert not await leader.still()
    await pool.close()


async def test_audit_entry_is_appended(database: str) -> None:
    pool = await Pool.open(database)
    await migrate(pool, "audit", "opsplane.database.audit_migrations")
    await append_audit(pool)(Actor("alice", frozenset({"admin"})), "dlq.retry", {"ids": [1]}, "fixed", "done")
    rows = await pool.fetch("select actor, roles, action, parameters, reason, outcome from audit")
    assert rows == [
        {
            "actor": "alice", "roles": ["admin"], "action": "dlq.retry",
            "parameters": {"ids": [1]}, "reason": "fixed", "outcome": "done",
        }
    ]  # fmt: skip
    await pool.close()


async def test_what_the_database_cannot_keep_is_in_the_audit_log_all_the_same(database: str) -> None:
    pool = await Pool.open(database)
    await migrate(pool, "audit", "opsplane.database.audit_migrations")
    facts = {"a": "x\0\0", "b\0": ["\\u0000", "\\\0"]}
    await append_audit(pool)(Actor("alice", frozenset()), "dlq.edit", facts, "why\0", "failed: InvalidInput")
    [row] = await pool.fetch("select parameters, reason from audit")
    assert row["parameters"] == {"a": "x\ufffd\ufffd", "b\ufffd": ["\\u0000", "\\\ufffd"]}
    assert row["reason"] == "why\ufffd"
    await pool.close()
