from __future__ import annotations

from tests.unit.tasks_api.conftest import BASE, Api

STEPS = """
insert into task_step values
    (%(id)s, 'first', 1, '{"n": 1}', '2026-01-01T00:00Z', '2026-01-01T00:00:02Z'),
    (%(id)s, 'second', 2, to_json(repeat('x', 3000)), '2026-01-01T00:00:03Z', '2026-01-01T00:00:04Z')
"""
OPENED = """
insert into fan_out (parent_id, name, first_id, last_id, policy, total, completed)
values (%(id)s, 'parts', %(child)s, %(child)s, '2%%', 5, 3)
"""


async def test_steps_and_fan_outs_of_a_task(api: Api) -> None:
    clara = api.by("clara", "number_staff")
    made = await api.create(clara)
    child = (await api.create(clara))["id"]
    await api.pool.execute("update task set parent_id = %s where id = %s", [made["id"], child])
    await api.pool.execute(STEPS, {"id": made["id"]})
    await api.pool.execute(OPENED, {"id": made["id"], "child": child})
    await api.pool.execute(
        "insert into fan_out_tally (fan_out, completed, failed, cancelled) values (1, 0, 1, 0)"
    )
    told = (await clara.get(f"{BASE}/tasks/{made['id']}/steps")).json()
    assert [(step["name"], step["attempt"], step["resultSize"]) for step in told["data"]] == [
        ("first", 1, 8), ("second", 2, 3002),
    ]  # fmt: skip
    assert [step["result"] for step in told["data"]] == [{"n": 1}, None]
    [found] = told["fanOuts"]
    assert (found["name"], found["policy"], found["total"], found["joinedAt"]) == ("parts", "2%", 5, None)
    assert (found["completed"], found["failed"], found["cancelled"]) == (
        3,
        1,
        0,
    )  # what is not folded included
    listed = (await clara.get(f"{BASE}/tasks", params={"parentId": made["id"]})).json()
    assert [row["id"] for row in listed["data"]] == [child]
    assert (await clara.get(f"{BASE}/tasks", params={"parentId": "x"})).status_code == 400
    assert (await api.by("bob", "number_staff").get(f"{BASE}/tasks/{made['id']}/steps")).status_code == 404


async def test_a_waiting_parent_is_processing_and_is_asked_to_stop(api: Api) -> None:
    made = await api.create(api.staff)
    await api.pool.execute(
        "update task set status = 6, waits_for = 'children', started_at = now() where id = %s", [made["id"]]
    )
    seen = (await api.staff.get(f"{BASE}/tasks/{made['id']}")).json()
    assert (seen["status"], seen["waitsFor"]) == ("processing", "children")
    running = (await api.staff.get(f"{BASE}/tasks", params={"status": "running"})).json()
    assert [row["id"] for row in running["data"]] == [made["id"]]
    assert (await api.staff.post(f"{BASE}/tasks/{made['id']}/uploaded")).json()["status"] == "processing"
    asked = (await api.staff.post(f"{BASE}/tasks/{made['id']}/cancel")).json()
    assert (asked["status"], asked["cancelRequestedAt"] is not None) == ("processing", True)
