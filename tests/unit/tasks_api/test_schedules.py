"""`/schedules` as staff use it."""

from __future__ import annotations

from typing import Any

from tests.unit.tasks_api.conftest import BASE, Api

BODY: dict[str, Any] = {
    "cron": "0 3 * * *",
    "zone": "Europe/Berlin",
    "taskType": "number.count",
    "params": {"upto": 3},
}


async def test_a_nul_in_the_parameters_is_refused(api: Api) -> None:
    params = {"upto": 3, "name": "a\0"}
    refused = await api.staff.put(f"{BASE}/schedules/nightly", json={**BODY, "params": params})
    assert refused.status_code == 400
    assert refused.json()["violations"][0]["pointer"] == "/params/name"


async def test_a_schedule_is_made_read_run_paused_resumed_and_forgotten(api: Api) -> None:
    staff = api.staff
    made = await staff.put(f"{BASE}/schedules/nightly", json={**BODY, "priority": 9})
    assert made.status_code == 200, made.text
    assert made.json()["params"] == {"upto": 3, "name": "all"}
    assert made.json()["priority"] == 7  # the most that operations_staff may have
    assert made.json()["requestedBy"] == "sam"
    found = (await staff.get(f"{BASE}/schedules/nightly")).json()
    assert [found["nextAt"], found["upcoming"][0], len(found["upcoming"])] == [*[found["nextAt"]] * 2, 5]
    assert found["runs"] == []

    run = (await staff.post(f"{BASE}/schedules/nightly/run")).json()
    task = (await staff.get(f"{BASE}/tasks/{run['lastTask']}")).json()
    assert (task["taskType"], task["requestedBy"], task["priority"]) == ("number.count", "sam", 7)
    runs = (await staff.get(f"{BASE}/schedules/nightly")).json()["runs"]
    assert [(one["outcome"], one["taskId"]) for one in runs] == [("created", task["id"])]

    paused = (await staff.post(f"{BASE}/schedules/nightly/pause", params={"reason": "stocktaking"})).json()
    assert (paused["pausedBy"], paused["reason"]) == ("sam", "stocktaking")
    assert (await staff.post(f"{BASE}/schedules/nightly/resume")).json()["pausedAt"] is None
    assert [one["name"] for one in (await staff.get(f"{BASE}/schedules")).json()["data"]] == ["nightly"]
    assert (await staff.delete(f"{BASE}/schedules/nightly")).status_code == 204
    assert (await staff.get(f"{BASE}/schedules/nightly")).status_code == 404
    rows = await api.pool.fetch(
        "select action, outcome from audit where action like 'schedule.%' order by at"
    )
    verbs = ["put", "run", "pause", "resume", "delete"]
    assert [(row["action"], row["outcome"]) for row in rows] == [
        (f"schedule.{verb}", "done") for verb in verbs
    ]


async def test_what_cannot_be_a_schedule_is_refused_with_its_place(api: Api) -> None:
    for change, pointer in (
        ({"cron": "99 * * * *"}, "/cron"),
        ({"zone": "Nowhere"}, "/zone"),
        ({"taskType": "number.cuont"}, "/taskType"),
        ({"params": {"upto": "x"}}, "/params/upto"),
        ({"overlap": "perhaps"}, "/overlap"),
        ({"graceSeconds": 0}, "/graceSeconds"),
        ({"extra": 1}, ""),
    ):
        answer = await api.staff.put(f"{BASE}/schedules/nightly", json={**BODY, **change})
        assert answer.status_code == 400, (change, answer.text)
        assert pointer in answer.text
    assert (await api.staff.get(f"{BASE}/schedules")).json() == {"data": []}
    for verb in ("run", "pause", "resume"):
        assert (await api.staff.post(f"{BASE}/schedules/none/{verb}")).status_code == 404


async def test_schedules_are_for_staff(api: Api) -> None:
    customer = api.by("carla")
    for call in (
        customer.get(f"{BASE}/schedules"),
        customer.put(f"{BASE}/schedules/nightly", json=BODY),
        customer.post(f"{BASE}/schedules/nightly/run"),
        customer.delete(f"{BASE}/schedules/nightly"),
    ):
        assert (await call).status_code == 403
