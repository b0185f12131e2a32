"""`callbackUrl` and `/tasks/{id}/callback` as clients use them."""

from __future__ import annotations

import pytest
from tests.unit.tasks_api.conftest import BASE, Api

URL = "https://hooks.example.com/done?token=1"


async def test_a_task_says_its_callback_and_what_became_of_it(api: Api) -> None:
    clerk = api.by("clara", "number_staff")
    made = await api.create(clerk, callbackUrl=URL)
    assert made["callbackUrl"] == URL
    path = f"{BASE}/tasks/{made['id']}/callback"
    found = (await clerk.get(path)).json()
    assert (found["url"], found["state"], found["id"], found["tries"]) == (URL, "unfinished", None, 0)
    assert (await clerk.post(f"{path}/retry")).status_code == 404  # there is nothing to tell yet

    await clerk.post(f"{BASE}/tasks/{made['id']}/cancel")
    owed = (await clerk.get(path)).json()
    assert (owed["state"], owed["tries"], owed["lastError"]) == ("waiting", 0, None)
    await api.pool.execute(
        "update task_callback set state = 'dead', tries = 8, last_status = 500, last_error = 'it answered 500',"
        " tried_at = now()"
    )
    dead = (await clerk.get(path)).json()
    assert (dead["state"], dead["tries"], dead["lastStatus"], dead["dueAt"]) == ("dead", 8, 500, None)
    again = await clerk.post(f"{path}/retry", params={"reason": "the receiver is repaired"})
    assert again.status_code == 200, again.text
    assert (again.json()["state"], again.json()["tries"], again.json()["id"]) == ("waiting", 0, owed["id"])
    assert (await api.audited())[-1] == ("clara", "callback.retry")


async def test_it_is_the_requester_s_and_staff_s(api: Api) -> None:
    made = await api.create(api.by("clara", "number_staff"), callbackUrl=URL)
    await api.staff.post(f"{BASE}/tasks/{made['id']}/cancel")
    path = f"{BASE}/tasks/{made['id']}/callback"
    other = api.by("oscar", "number_staff")
    assert (await other.get(path)).status_code == 404
    assert (await other.post(f"{path}/retry")).status_code == 404
    assert (await api.staff.get(path)).status_code == 200
    assert (await api.staff.post(f"{path}/retry")).status_code == 200


async def test_a_task_without_a_callback_has_none(api: Api) -> None:
    made = await api.create(api.staff)
    for _ in range(2):
        assert (await api.staff.get(f"{BASE}/tasks/{made['id']}/callback")).status_code == 404
        await api.staff.post(f"{BASE}/tasks/{made['id']}/cancel")
    assert await api.pool.fetch("select 1 from task_callback") == []


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/", "http://example.com/", "https://[::ffff:10.0.0.1]/", "https://a:b@example.com/", "x"]
)  # fmt: skip
async def test_a_url_that_leads_inside_is_refused_with_its_place(api: Api, url: str) -> None:
    answer = await api.staff.post(
        f"{BASE}/tasks", json={"taskType": "number.count", "params": {"upto": 3}, "callbackUrl": url}
    )
    assert answer.status_code == 400, answer.text
    assert [one["pointer"] for one in answer.json()["violations"]] == ["/callbackUrl"]
    assert await api.pool.fetch("select 1 from any_task") == []
