"""The worker of `examples/worker.mjs`, run by Node against the served API: nothing lost, nothing completed twice."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.node import NodeWorker, needs_node
from tests.unit.tasks_api.conftest import BASE, Api, until

from opsplane.tasks import NewTask

pytestmark = needs_node


@pytest.fixture
def nodes(api: Api, tmp_path: Path) -> Iterator[Any]:
    started: list[NodeWorker] = []
    token = api.issuer.issue("invoices", ["task_worker"])

    def start(name: str, **settings: Any) -> NodeWorker:
        started.append(NodeWorker(api.url, token, tmp_path, name, **settings))
        return started[-1]

    yield start
    for node in started:
        node.end()


async def create(api: Api, count: int, lines: int = 1, pause: int = 0) -> list[str]:
    params = {"lines": [f"line {number}" for number in range(lines)], "pauseMs": pause}
    async with api.pool.transaction() as tx:
        return await api.producer.create_many(
            tx, [NewTask(task_type="invoice.render", params=params)] * count
        )


async def all_finished(api: Api, seconds: float) -> None:
    async def done() -> bool:
        return not await api.pool.fetch("select from task limit 1")

    await until(done, seconds)


async def completions(api: Api) -> Counter[str]:
    """How often the completion of each task was published."""
    rows = await api.pool.fetch("select subject from outbox where topic = 'operations.task.completed'")
    return Counter(row["subject"] for row in rows)


async def test_two_hundred_tasks_are_done_once_each_and_sigterm_ends_it(api: Api, nodes: Any) -> None:
    ids = await create(api, 200)
    node = nodes("one", SLOTS=20)
    await all_finished(api, 60)
    tasks = [await api.store.get(task_id) for task_id in ids]
    assert Counter((task.status, task.attempt, task.processed_records) for task in tasks) == {
        ("completed", 1, 1): 200
    }
    assert await completions(api) == dict.fromkeys(ids, 1)
    await until(lambda: _told(node, 200))
    assert sorted(node.said("completed")) == sorted(ids)
    link = (await api.staff.get(f"{BASE}/tasks/{ids[0]}/download")).json()
    assert (await api.staff.get(link["url"])).text == "1. line 0\n"
    node.send(signal.SIGTERM)
    assert await asyncio.to_thread(node.process.wait, 10) == 0
    [shown] = await api.store.workers()
    assert (shown.name, shown.gone_reason) == ("one", "stopped")


async def _told(node: NodeWorker, count: int) -> bool:
    return len(node.said("completed")) >= count


async def test_what_a_killed_worker_ran_is_run_again_none_lost_none_completed_twice(
    api: Api, nodes: Any
) -> None:
    ids = await create(api, 60, lines=3, pause=100)
    async with api.rescuing():
        first = nodes("first", SLOTS=10)
        await until(lambda: _told(first, 20))
        first.send(signal.SIGKILL)
        first.process.wait()
        second = nodes("second", SLOTS=10)
        await all_finished(api, 60)
        await until(lambda: _told(second, 1))
    tasks = [await api.store.get(task_id) for task_id in ids]
    assert {task.status for task in tasks} == {"completed"}
    assert await completions(api) == dict.fromkeys(ids, 1)
    again = [task for task in tasks if task.attempt == 2]
    assert 1 <= len(again) <= 10  # what it ran when it was killed, by the second one
    assert {task.result["worker"] for task in again if task.result} == {"second"}
    assert not set(first.said("completed")) & set(second.said("completed"))


async def test_a_worker_stopped_beyond_its_lease_is_refused_and_changes_nothing(api: Api, nodes: Any) -> None:
    """It sends no heartbeat in between, so that it goes on, unsuspecting, to tell the end of what is another's."""
    async with api.rescuing():
        first = nodes("first", SLOTS=1, HEARTBEAT_SECONDS=600)
        [task_id] = await create(api, 1, pause=8000)
        await until(lambda: _said(first, "started"))
        first.send(signal.SIGSTOP)
        await until(lambda: _status(api, task_id, "pending"))
        nodes("second", SLOTS=1)
        running = await until(lambda: _status(api, task_id, "processing"))
        first.send(signal.SIGCONT)
        await until(lambda: _said(first, "refused"))
        still = await api.store.get(task_id)
        assert (still.status, still.claim_token) == ("processing", running.claim_token)
        await all_finished(api, 20)
    task = await api.store.get(task_id)
    assert (task.status, task.attempt, task.result) == ("completed", 2, {"worker": "second"})
    assert "409 Fenced" in first.path.read_text()
    assert await completions(api) == {task_id: 1}


async def test_cancelling_reaches_it_and_it_hands_back_what_it_cannot_finish(api: Api, nodes: Any) -> None:
    node = nodes("one", SLOTS=2, GRACE_SECONDS=0.5)
    [quiet] = await create(api, 1, pause=60_000)  # tells no progress: the heartbeat hears it
    [other] = await create(api, 1, pause=60_000)
    for task_id in (quiet, other):
        await until(lambda: _status(api, task_id, "processing"))  # noqa: B023  asked at once
    await api.staff.post(f"{BASE}/tasks/{quiet}/cancel")
    await until(lambda: _status(api, quiet, "cancelled"), 3.0)
    node.send(signal.SIGTERM)
    assert await asyncio.to_thread(node.process.wait, 10) == 0
    task = await api.store.get(other)
    assert (task.status, task.retry_count) == ("pending", 0)


async def _status(api: Api, task_id: str, status: str) -> Any:
    task = await api.store.get(task_id)
    return task if task.status == status else None


async def _said(node: NodeWorker, word: str) -> bool:
    return bool(node.said(word))
