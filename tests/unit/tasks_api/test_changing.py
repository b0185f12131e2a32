from __future__ import annotations

from tests.unit.tasks_api.conftest import BASE, Api


async def test_a_waiting_task_is_cancelled_at_once_a_running_one_is_asked(api: Api) -> None:
    clara = api.by("clara", "number_staff")
    waiting, running = await api.create(clara), await api.create(clara)
    await api.start(running["id"])
    done = (await clara.post(f"{BASE}/tasks/{waiting['id']}/cancel", params={"reason": "typo"})).json()
    asked = (await clara.post(f"{BASE}/tasks/{running['id']}/cancel")).json()
    assert done["status"] == "cancelled"
    assert asked["status"] == "processing"
    assert asked["cancelRequestedAt"] is not None
    row = await api.pool.fetch_one(
        "select actor, parameters, reason, outcome from audit where reason is not null"
    )
    assert row == {
        "actor": "clara",
        "parameters": {"task_id": waiting["id"]},
        "reason": "typo",
        "outcome": "done",
    }


async def test_illegal_transitions_change_nothing(api: Api) -> None:
    staff = api.staff
    task = await api.create(staff)
    before = await api.store.get(task["id"])
    for verb in ("retry",):
        refused = await staff.post(f"{BASE}/tasks/{task['id']}/{verb}")
        assert refused.status_code == 409
        assert "pending" in refused.json()["detail"]
    assert (await staff.delete(f"{BASE}/tasks/{task['id']}")).status_code == 409
    assert await api.store.get(task["id"]) == before
    await api.start(task["id"])
    await api.finish(task["id"], 3)
    for verb in ("retry", "cancel"):
        assert (await staff.post(f"{BASE}/tasks/{task['id']}/{verb}")).status_code == 409
    assert (await api.store.get(task["id"])).status == "completed"


async def test_a_failed_task_is_retried(api: Api) -> None:
    staff = api.staff
    task = await api.create(staff)
    await api.start(task["id"])
    await api.finish(task["id"], 4)
    again = (await staff.post(f"{BASE}/tasks/{task['id']}/retry")).json()
    assert (again["status"], again["retryCount"]) == ("pending", 1)
    assert ("sam", "task.retry") in await api.audited()


async def test_queues_are_paused_and_resumed_by_staff(api: Api) -> None:
    staff, clerk = api.staff, api.by("clara", "number_staff")
    await api.create(clerk)
    assert (await clerk.post(f"{BASE}/queues/number/pause")).status_code == 403
    paused = (await staff.post(f"{BASE}/queues/number/pause", params={"reason": "incident 7"})).json()
    assert (paused["paused"], paused["pausedBy"], paused["reason"], paused["pending"]) == (
        True,
        "sam",
        "incident 7",
        1,
    )
    listed = (await staff.get(f"{BASE}/queues")).json()["data"]
    assert [(queue["name"], queue["paused"]) for queue in listed] == [("number", True)]
    assert (await staff.post(f"{BASE}/queues/number/resume")).json()["paused"] is False
    assert (await staff.post(f"{BASE}/queues/a;b/pause")).status_code == 400
    actions = [action for actor, action in await api.audited() if actor == "sam"]
    assert actions == ["queue.pause", "queue.resume"]
    assert (await staff.get(f"{BASE}/workers")).json() == {"data": []}


async def test_a_drained_queue_refuses_new_tasks_until_it_is_resumed(api: Api) -> None:
    staff, clerk = api.staff, api.by("clara", "number_staff")
    await api.create(clerk)
    path = f"{BASE}/queues/number"
    assert (await clerk.post(f"{path}/drain")).status_code == 403
    answer = await staff.post(f"{path}/drain", params={"reason": "disk 3"})
    drained = answer.json()
    assert (drained["draining"], drained["closed"], drained["unfinished"]) == (True, True, 1)
    assert (drained["drainedBy"], drained["drainReason"], drained["paused"]) == ("sam", "disk 3", False)
    body = {"taskType": "number.count", "params": {"upto": 3}}
    refused = await clerk.post(f"{BASE}/tasks", json=body)
    assert (refused.status_code, refused.json()["error"]) == (409, "QueueDraining")
    assert "opsplane queue resume number" in refused.json()["remedy"]
    [listed] = (await staff.get(f"{BASE}/queues")).json()["data"]
    assert (listed["draining"], listed["unfinished"]) == (True, 1)
    assert (await staff.post(f"{path}/resume")).json()["draining"] is False
    assert (await clerk.post(f"{BASE}/tasks", json=body)).status_code == 201
    actions = [action for actor, action in await api.audited() if actor == "sam"]
    assert actions == ["queue.drain", "queue.resume"]
