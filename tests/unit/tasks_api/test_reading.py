from __future__ import annotations

from typing import Any

import pytest
from tests.unit.tasks_api.conftest import BASE, Api


async def ids(client: Any, **params: Any) -> list[str]:
    answer = await client.get(f"{BASE}/tasks", params=params)
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()["data"]]


async def test_other_peoples_tasks_are_not_there(api: Api) -> None:
    clara, other = api.by("clara", "number_staff"), api.by("bob", "number_staff")
    mine, his = await api.create(clara), await api.create(other)
    for path in ("", "/logs", "/events", "/stream", "/download"):
        assert (await clara.get(f"{BASE}/tasks/{his['id']}{path}")).status_code == 404
    for verb in ("cancel", "retry", "uploaded"):
        assert (await clara.post(f"{BASE}/tasks/{his['id']}/{verb}")).status_code == 404
    assert (await clara.delete(f"{BASE}/tasks/{his['id']}")).status_code == 404
    assert (await clara.get(f"{BASE}/tasks/nonsense")).status_code == 404
    assert await ids(clara) == [mine["id"]]
    assert (await clara.get(f"{BASE}/tasks", params={"requestedBy": "bob"})).status_code == 403
    assert await ids(api.staff) == [his["id"], mine["id"]]
    assert await ids(api.staff, requestedBy="bob") == [his["id"]]
    for path in ("/queues", "/workers"):
        assert (await clara.get(f"{BASE}{path}")).status_code == 403


async def test_every_filter_filters(api: Api) -> None:
    staff = api.staff
    plain = await api.create(staff)
    running = await api.create(staff, entityType="invoice", queue="night")
    later = await api.create(staff, scheduledAt="2099-01-01T00:00:00Z")
    file = await api.create(staff, fileName="prices.csv")
    await api.start(running["id"])
    assert await ids(staff, status="running") == await ids(staff, status="processing") == [running["id"]]
    assert await ids(staff, status="scheduled") == [later["id"]]
    assert await ids(staff, status="pending") == [file["id"], plain["id"]]
    assert await ids(staff, entityType="invoice") == await ids(staff, queue="night") == [running["id"]]
    assert await ids(staff, taskType="order.export") == []
    assert await ids(staff, search="PRICES") == [file["id"]]
    assert len(await ids(staff, startDate="2020-01-01", endDate="2098-01-01T00:00:00+02:00")) == 4
    assert await ids(staff, endDate="2020-01-01") == []
    day = plain["createdAt"][:10]
    assert len(await ids(staff, startDate=day, endDate=day)) == 4  # the whole of the day


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"startDate": "2026-02-31"}, "/startDate"),
        ({"startDate": "yesterday"}, "/startDate"),
        ({"endDate": "2026-01-01T10:00:00"}, "/endDate"),
        ({"endDate": ""}, "/endDate"),
        ({"status": "done"}, "/status"),
        ({"cursor": "1; drop table task"}, "/cursor"),
        ({"page": "0"}, "/page"),
        ({"pageSize": "501"}, "/pageSize"),
        ({"page": "x"}, "/page"),
    ],
)
async def test_bad_filters_are_refused(api: Api, params: dict[str, str], pointer: str) -> None:
    answer = await api.staff.get(f"{BASE}/tasks", params=params)
    assert answer.status_code == 400, answer.text
    assert pointer in [violation["pointer"] for violation in answer.json()["violations"]]


async def test_pages_and_cursors_cover_everything_once(api: Api) -> None:
    staff = api.staff
    made = [(await api.create(staff))["id"] for _ in range(7)]
    newest_first = made[::-1]
    second = (await staff.get(f"{BASE}/tasks", params={"page": 2, "pageSize": 3})).json()
    assert [row["id"] for row in second["data"]] == newest_first[3:6]
    assert (second["total"], second["pages"]) == (7, 3)
    found: list[str] = []
    cursor: str | None = None
    for _ in range(4):
        params = {"pageSize": 3, **({"cursor": cursor} if cursor else {})}
        answer = (await staff.get(f"{BASE}/tasks", params=params)).json()
        found += [row["id"] for row in answer["data"]]
        cursor = answer["nextCursor"]
        if cursor is None:
            break
    assert found == newest_first


async def test_result_and_error_files_are_downloaded_through_signed_urls(api: Api) -> None:
    staff = api.staff
    task = await api.create(staff)
    missing = await staff.get(f"{BASE}/tasks/{task['id']}/download")
    assert missing.status_code == 404
    assert "pending" in missing.json()["detail"]
    key = f"default/{task['id']}/result.csv"
    await api.objects.put(key, b"x\n1\n", "text/csv")
    await api.start(task["id"])
    file = {"key": key, "file_name": "numbers.csv", "content_type": "text/csv", "rows": 1}
    await api.finish(task["id"], 3, result_file=file)
    shown = (await staff.get(f"{BASE}/tasks/{task['id']}")).json()
    assert shown["resultFile"] == {"url": shown["outputFileUrl"], "fileName": "numbers.csv", "contentType": "text/csv", "rows": 1}  # fmt: skip
    link = (await staff.get(shown["outputFileUrl"])).json()
    assert link["size"] == 4
    assert link["expiresAt"] > shown["completedAt"]
    answer = await staff.get(link["url"], headers={"Authorization": ""})
    assert answer.text == "x\n1\n"
    assert 'filename="numbers.csv"' in answer.headers["content-disposition"]
    assert (
        await staff.get(f"{BASE}/tasks/{task['id']}/download", params={"file": "errors"})
    ).status_code == 404
    assert (await staff.get(f"{BASE}/tasks/{task['id']}/download", params={"file": "x"})).status_code == 400
    assert (await staff.delete(f"{BASE}/tasks/{task['id']}")).status_code == 204
    assert await api.objects.head(key) is None
    assert (await staff.get(f"{BASE}/tasks/{task['id']}")).status_code == 404


async def test_logs_and_events_are_read_in_order(api: Api) -> None:
    staff = api.staff
    task = await api.create(staff)
    await api.say(task["id"], "one", "two")
    lines = (await staff.get(f"{BASE}/tasks/{task['id']}/logs")).json()["data"]
    assert [line["message"] for line in lines] == ["one", "two"]
    after = {"after": lines[0]["number"]}
    assert len((await staff.get(f"{BASE}/tasks/{task['id']}/logs", params=after)).json()["data"]) == 1
    for beyond in (2**63 - 1, 2**63, 10**30):
        after = {"after": beyond}
        assert (await staff.get(f"{BASE}/tasks/{task['id']}/logs", params=after)).json()["data"] == []
    await staff.post(f"{BASE}/tasks/{task['id']}/cancel")
    events = (await staff.get(f"{BASE}/tasks/{task['id']}/events")).json()["data"]
    assert [event["kind"] for event in events] == ["created", "cancelled"]


async def test_the_description_lists_every_call(api: Api) -> None:
    schema = (await api.staff.get("/schema/openapi.json")).json()
    paths = {f"{method.upper()} {path}" for path, methods in schema["paths"].items() for method in methods}
    for call in ("POST /tasks", "GET /tasks", "GET /tasks/{task_id}", "DELETE /tasks/{task_id}", "POST /tasks/{task_id}/cancel",
                 "POST /tasks/{task_id}/retry", "POST /tasks/{task_id}/uploaded", "GET /tasks/{task_id}/download",
                 "GET /tasks/{task_id}/logs", "GET /tasks/{task_id}/events", "GET /tasks/{task_id}/stream", "GET /queues",
                 "POST /queues/{name}/pause", "POST /queues/{name}/resume", "GET /workers"):  # fmt: skip
        assert call.replace(" ", f" {BASE}", 1) in paths


async def test_why_a_task_waits_is_told_to_those_who_may_see_it(api: Api) -> None:
    task = await api.create(api.staff)
    found = (await api.staff.get(f"{BASE}/tasks/{task['id']}/explain")).json()["data"]
    assert [(cause["reason"], cause["remedy"]) for cause in found] == [
        ("no_worker", "opsplane up --detach --only worker")
    ]
    assert (await api.by("carla").get(f"{BASE}/tasks/{task['id']}/explain")).status_code == 404
