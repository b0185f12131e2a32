from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.unit.tasks_api.conftest import BASE, Api, listening

LISTENERS = 8


async def collect(api: Api, task_id: str, ready: asyncio.Semaphore) -> list[tuple[str, Any]]:
    found = []
    async with listening(api.staff, task_id) as events:
        async for event in events:
            if not found:
                ready.release()
            found.append(event)
    return found


async def test_every_listener_sees_snapshot_progress_lines_and_the_end(api: Api) -> None:
    task = await api.create(api.staff)
    await api.say(task["id"], "before")
    ready = asyncio.Semaphore(0)
    listeners = [asyncio.create_task(collect(api, task["id"], ready)) for _ in range(LISTENERS)]
    for _ in range(LISTENERS):
        await ready.acquire()
    await api.start(task["id"])
    for done in (1, 2, 3):
        await api.control.progress(task["id"], total=4, processed=done, message=f"row {done}")
        await api.say(task["id"], f"line {done}")
        await asyncio.sleep(0.05)
    await api.say(task["id"], "the last line")
    await api.finish(task["id"], 3)
    for found in await asyncio.wait_for(asyncio.gather(*listeners), 15):
        names = [name for name, _ in found]
        assert names[0] == "snapshot"
        assert set(names) == {"snapshot", "progress", "log", "status"}
        assert [line["message"] for line in found[0][1]["logs"]] == ["before"]
        lines = [value["message"] for name, value in found if name == "log"]
        assert lines == ["line 1", "line 2", "line 3", "the last line"]
        assert names[-1] == "status"
        assert found[-1][1]["status"] == "completed"
        done = [value["processedRecords"] for name, value in found if name == "progress"]
        assert done == sorted(done)
        assert done[-1] == 3


async def test_the_end_is_found_without_the_bell(api: Api) -> None:
    task = await api.create(api.staff)
    await api.start(task["id"])
    ready = asyncio.Semaphore(0)
    listener = asyncio.create_task(collect(api, task["id"], ready))
    await ready.acquire()
    await api.finish(task["id"], 4, ring=False)
    found = await asyncio.wait_for(listener, 10)
    assert found[-1][1]["status"] == "failed"


async def test_the_end_is_never_missed_whenever_one_connects(api: Api) -> None:
    """Tasks that end while streams are being opened: each stream tells of the end all the same."""
    ready = asyncio.Semaphore(0)
    listeners = []
    for number in range(12):
        task = await api.create(api.staff)
        await api.start(task["id"])
        listeners.append(asyncio.create_task(collect(api, task["id"], ready)))
        await asyncio.sleep(0.004 * number)
        await api.finish(task["id"], 3, ring=number % 2 == 0)
    for found in await asyncio.wait_for(asyncio.gather(*listeners), 20):
        last = found[-1][1]
        assert last.get("task", last)["status"] == "completed"


async def test_a_reconnect_starts_from_a_new_snapshot(api: Api) -> None:
    task = await api.create(api.staff)
    await api.start(task["id"])
    await api.control.progress(task["id"], total=10, processed=1)
    async with listening(api.staff, task["id"]) as events:
        assert (await anext(events))[1]["task"]["processedRecords"] == 1
    await api.control.progress(task["id"], processed=5)
    async with listening(api.staff, task["id"]) as events:
        assert (await anext(events))[1]["task"]["progressPercentage"] == 50.0
    for _ in range(100):
        if not api.live.watched:
            break
        await asyncio.sleep(0.05)
    assert not api.live.watched  # who left costs nothing


async def test_streams_end_with_the_server_and_of_finished_tasks_at_once(api: Api) -> None:
    running, ended = await api.create(api.staff), await api.create(api.staff)
    await api.finish(ended["id"], 5)
    async with listening(api.staff, ended["id"]) as events:
        assert [name async for name, _ in events] == ["snapshot"]
    async with listening(api.staff, running["id"]) as events:
        assert (await anext(events))[0] == "snapshot"
        api.stop.set()
        began = time.monotonic()
        assert [name async for name, _ in events] == []
    assert time.monotonic() - began < 10


async def test_a_deleted_task_ends_its_stream(api: Api) -> None:
    task = await api.create(api.staff)
    async with listening(api.staff, task["id"]) as events:
        await anext(events)
        await api.pool.execute("delete from task where id = %s", [task["id"]])
        assert [name async for name, _ in events] == ["deleted"]
    assert (await api.staff.get(f"{BASE}/tasks/{task['id']}/stream")).status_code == 404
