"""The planner's two known traps: each is there without its guard, and the guard keeps out of it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.tasks.conftest import Engine

from opsplane.database import Connection, sql
from opsplane.tasks.sessions import CHECK_INTERVAL, CLAIM_PLAN, open_session

FILL = """
insert into task (id, created_at, run_at, status, claim_token, worker, prio, emit, attempt, max_retries, queue, task_type, tenant, params)
select gen_random_uuid(), now(), now(), (n <= %(running)s)::int, n, 1, 5, 0, 1, 3, 'default', 'quiet', 'default', '{}'
from generate_series(1, %(total)s) as n
"""


async def plan_of(session: Connection, statement: str, parameters: dict[str, Any]) -> str:
    rows = await (await session.execute(f"explain (costs off) {statement}".encode(), parameters)).fetchall()
    return "\n".join(str(row["QUERY PLAN"]) for row in rows)


@pytest.mark.parametrize("name", ["complete_tasks", "finish_tasks", "put_back"])
async def test_completions_go_by_the_primary_key_not_by_the_index_of_running_tasks(
    engine: Engine, name: str
) -> None:
    """Without statistics, which a young or a busy table has not."""
    await engine.pool.execute(FILL, {"total": 2000, "running": 0})
    await engine.pool.execute("vacuum analyze task")
    await engine.pool.execute("update task set status = 1")
    statement = str(sql("opsplane.tasks", name))
    rows = await engine.pool.fetch("select id, claim_token from task limit 200")
    arrays = ("delays", "statuses", "totals", "processed", "failed", "messages", "error_kinds", "error_messages", "results",
              "result_files", "error_files", "retries", "attempts", "rescues")  # fmt: skip
    told: dict[str, Any] = {array: [] for array in arrays}
    told |= {"ids": [str(row["id"]) for row in rows], "tokens": [row["claim_token"] for row in rows]}
    async with engine.pool.connection() as session:
        assert "task_running" not in await plan_of(session, statement, told)
        assert "status + 0 = 1" in statement
        trapped = statement.replace("status + 0 = 1", "status = 1")
        assert "task_running" in await plan_of(session, trapped, told)


async def test_the_dispatcher_lets_tasks_go_by_the_primary_key(engine: Engine) -> None:
    await engine.pool.execute(FILL, {"total": 20_000, "running": 0})
    await engine.pool.execute("update task set status = 7")
    rows = await engine.pool.fetch("select id from task limit 200")
    told = {"ids": "{" + ",".join(str(row["id"]) for row in rows) + "}"}
    async with engine.pool.connection() as session:
        await session.execute("set enable_bitmapscan = off")
        await session.execute("set enable_seqscan = off")
        plan = await plan_of(session, str(sql("opsplane.tasks.limits", "release_tasks")), told)
        await session.execute("reset all")
    assert "Index Scan using task_pkey on task" in plan


async def test_a_claim_without_statistics_goes_by_its_index_in_order_and_takes_by_the_primary_key(
    engine: Engine,
) -> None:
    await engine.pool.execute(FILL, {"total": 20_000, "running": 0})
    told = {
        "levels": list(range(10)), "ats": ["1970-01-01Z"] * 10, "ids": ["00000000-0000-0000-0000-000000000000"] * 10,
        "queue": "default", "types": ["quiet"], "limit": 200, "worker": 1,
    }  # fmt: skip
    statement = str(sql("opsplane.tasks", "claim_tasks"))
    async with await open_session(engine.pool.dsn, "plan", f"{CHECK_INTERVAL} {CLAIM_PLAN}") as session:
        plan = await plan_of(session, statement, told)
        trapped = await plan_of(session, statement.replace("status + 0 = 0", "status = 0"), told)
    assert plan.count("Index Scan using task_claim on task") == 1
    assert "Index Scan using task_pkey on task\n" in plan
    assert "Bitmap" not in plan
    assert "Sort" not in plan
    assert trapped.count("Index Scan using task_claim on task") == 2
