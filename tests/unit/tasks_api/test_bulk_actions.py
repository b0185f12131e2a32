from __future__ import annotations

from typing import Any

import pytest
from tests.unit.tasks_api.conftest import BASE, Api

from opsplane.events import Outbox
from opsplane.resilience import Stop
from opsplane.tasks import BulkRunner, task_schemas

CANCEL, RETRY = f"{BASE}/tasks/bulk/cancel", f"{BASE}/tasks/bulk/retry"


async def work(api: Api) -> None:
    """As the operations role does it."""
    runner = BulkRunner(api.pool, Outbox(task_schemas(), "operations"), api.doorbell)
    while await runner.step(Stop()):
        pass


async def test_without_dry_run_false_nothing_happens_but_a_preview(api: Api) -> None:
    staff = api.staff
    made = [await api.create(staff) for _ in range(12)]
    answer = await staff.post(CANCEL, json={"filter": {"taskType": "number.count"}})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["action"], found["dryRun"], found["matched"]) == ("cancel", True, 12)
    assert [task["id"] for task in found["sample"]] == [task["id"] for task in made[:10]]
    await work(api)
    assert {(await api.store.get(task["id"])).status for task in made} == {"pending"}
    assert ("sam", "task.bulk.cancel") not in await api.audited()


async def test_a_bulk_cancel_answers_with_a_task_that_tells_what_became_of_each(api: Api) -> None:
    staff, clara = api.staff, api.by("clara", "number_staff")
    mine, running, theirs = await api.create(staff), await api.create(staff), await api.create(clara)
    await api.start(running["id"])
    wanted = {"filter": {"requestedBy": "sam"}, "dryRun": False}
    answer = await staff.post(CANCEL, json=wanted, params={"reason": "incident 7"})
    assert answer.status_code == 202, answer.text
    task = answer.json()
    assert answer.headers["Location"] == f"{BASE}/tasks/{task['id']}"
    assert (task["taskType"], task["requestedBy"], task["status"]) == ("task.bulk", "sam", "pending")
    assert task["params"]["filter"] == {"requestedBy": "sam"}
    [cause] = (await staff.get(f"{BASE}/tasks/{task['id']}/explain")).json()["data"]
    assert cause["reason"] == "soon"
    await work(api)
    ended = (await staff.get(f"{BASE}/tasks/{task['id']}")).json()
    assert ended["result"] == {
        "action": "cancel", "matched": 2, "cancelled": 1, "askedToStop": 1, "skipped": 0,
    }  # fmt: skip
    assert (ended["status"], ended["processedRecords"]) == ("completed", 2)
    assert (await api.store.get(mine["id"])).status == "cancelled"
    assert (await api.store.get(running["id"])).cancel_requested_at is not None
    assert (await api.store.get(theirs["id"])).status == "pending"
    rows = await api.pool.fetch(
        "select actor, parameters, reason, outcome from audit where action = 'task.bulk.cancel'"
    )
    told = {"filter": {"requestedBy": "sam"}, "matched": 2}
    assert rows == [{"actor": "sam", "parameters": told, "reason": "incident 7", "outcome": "done"}]


async def test_failed_tasks_are_retried_in_bulk(api: Api) -> None:
    staff = api.staff
    made = [await api.create(staff) for _ in range(3)]
    for task in made[:2]:
        await api.start(task["id"])
        await api.finish(task["id"], 4)
    answer = await staff.post(RETRY, json={"all": True, "dryRun": False})
    assert answer.status_code == 202, answer.text
    await work(api)
    ended = (await staff.get(f"{BASE}/tasks/{answer.json()['id']}")).json()
    assert ended["result"] == {"action": "retry", "matched": 2, "retried": 2, "refused": 0, "skipped": 0}
    assert [(await api.store.get(task["id"])).retry_count for task in made] == [1, 1, 0]


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        (CANCEL, {}, "all: true"),
        (CANCEL, {"filter": {}, "dryRun": False}, "all: true"),
        (RETRY, {"filter": {"status": "failed"}}, "all: true"),
        (CANCEL, {"filter": {"status": "completed"}}, "pending"),
        (RETRY, {"filter": {"status": "running"}}, "failed"),
    ],
)
async def test_what_means_all_by_accident_or_nothing_at_all_is_refused_with_the_remedy(
    api: Api, path: str, body: dict[str, Any], said: str
) -> None:
    answer = await api.staff.post(path, json=body)
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["remedy"]


async def test_fields_it_does_not_know_and_bad_dates_are_refused(api: Api) -> None:
    for wanted in ({"type": "a"}, {"startDate": "yesterday"}, {"parentId": "x"}, {"status": "odd"}):
        assert (await api.staff.post(CANCEL, json={"filter": wanted})).status_code == 400


async def test_bulk_actions_are_for_staff_and_no_task_type_for_others(api: Api) -> None:
    clara = api.by("clara", "number_staff")
    for path in (CANCEL, RETRY):
        assert (await clara.post(path, json={"all": True})).status_code == 403
    body = {"taskType": "task.bulk", "params": {}}
    assert (await api.staff.post(f"{BASE}/tasks", json=body)).status_code == 400
