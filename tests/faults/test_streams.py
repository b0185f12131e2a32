"""A thousand listeners on the streams of fifty running tasks: what they cost the process that serves them, and what they see."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.flow.platform import Platform, started

from opsplane.database import Doorbell, Pool
from opsplane.tasks.channels import PROGRESS

START = """
insert into task (id, created_at, run_at, updated_at, started_at, claimed_at, status, claim_token, worker, prio, emit, attempt, max_retries,
    queue, task_type, tenant, params, total_records)
select gen_random_uuid(), now(), now(), now(), now(), now(), 1, n, null, 5, 0, 1, 0, 'streams', 'order.export', 'default', '{}', 1000
from generate_series(1, %s) as n
returning id::text as id
"""
PROGRESSED = "update task set processed_records = %s, updated_at = clock_timestamp() where queue = 'streams'"
FINISHED = """
with gone as (delete from task where id = %s returning *)
insert into task_history (id, created_at, started_at, completed_at, status, prio, emit, attempt, retry_count, max_retries, queue, task_type,
    tenant, params, processed_records, failed_records)
select id, created_at, started_at, clock_timestamp(), 3, prio, emit, attempt, retry_count, max_retries, queue, task_type, tenant, params,
    processed_records, failed_records
from gone
"""
SIZES = [
    pytest.param(100, 10, 20, 3.0, id="100"),
    pytest.param(1000, 50, 200, 30.0, id="1000", marks=[pytest.mark.long, pytest.mark.timeout(400)]),
]


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("listeners", "tasks", "leavers", "seconds"), SIZES)
async def test_every_listener_sees_the_final_status(
    tmp_path: Path, listeners: int, tasks: int, leavers: int, seconds: float
) -> None:
    with started(tmp_path / "state") as platform:
        document = json.loads((platform.state / "installation.json").read_text())
        pool = await Pool.open(document["databases"]["operations"])
        bell = Doorbell(pool.dsn)
        try:
            found = await _experiment(platform, pool, bell, listeners, tasks, leavers, seconds)
        finally:
            await bell.close()
            await pool.close()
    print(
        f"{listeners} listeners of {tasks} tasks, {leavers} leave and return, {found['connections']} connections:"
        f" {found['memory'] / 2**20:.1f} MiB more, {found['cpu']:.1f} s of CPU in {seconds:.0f} s; final status seen by"
        f" {found['finals']}"
    )
    assert found["finals"] == {"completed": listeners}
    assert found["connections"] > listeners
    assert found["memory"] < 100 * 2**20


async def _experiment(
    platform: Platform, pool: Pool, bell: Doorbell, listeners: int, tasks: int, leavers: int, seconds: float
) -> dict[str, Any]:
    role = platform.status()["operations"]
    server = psutil.Process(role["pid"])
    ids = [row["id"] for row in await pool.fetch(START, [tasks])]
    told = {
        "url": role["url"],
        "token": platform.token("admin"),
        "tasks": ids,
        "listeners": listeners,
        "leavers": leavers,
    }
    memory = server.memory_info().rss
    clients = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.stream_listeners", stdin=PIPE, stdout=PIPE
    )
    assert clients.stdin is not None
    assert clients.stdout is not None
    try:
        clients.stdin.write(json.dumps(told).encode() + b"\n")
        assert await clients.stdout.readline() == b"ready\n"
        before = server.cpu_times()
        for turn in range(int(seconds * 4)):
            await pool.execute(PROGRESSED, [turn + 1])
            bell.ring(PROGRESS, " ".join(ids))
            await asyncio.sleep(0.25)
        after, grown = server.cpu_times(), server.memory_info().rss - memory
        for task_id in ids:
            await pool.execute(FINISHED, [task_id])
            bell.ring(PROGRESS, task_id)
        answer: dict[str, Any] = json.loads(await clients.stdout.readline())
        await clients.wait()
    finally:
        if clients.returncode is None:
            clients.kill()
            await clients.wait()
    cpu = after.user + after.system - before.user - before.system
    return {**answer, "memory": grown, "cpu": cpu}
