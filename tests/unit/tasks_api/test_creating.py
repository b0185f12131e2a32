from __future__ import annotations

import hashlib
import re
from typing import Any

import httpx
import pytest
from tests.unit.tasks_api.conftest import BASE, Api


async def post(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post(f"{BASE}/tasks", json=body)


async def test_created_task_is_the_callers_and_published(api: Api) -> None:
    created = await api.create(api.staff, scheduledAt="2099-01-01T00:00:00Z", priority=6)
    assert (created["status"], created["requestedBy"], created["priority"]) == ("scheduled", "sam", 6)
    assert created["params"] == {"upto": 3, "name": "all"}
    assert created["uploadUrl"] is None
    rows = await api.pool.fetch("select topic from outbox")
    assert [row["topic"] for row in rows] == ["operations.task.created"]
    assert await api.audited() == [("sam", "task.create")]


async def test_params_may_be_a_json_string(api: Api) -> None:
    assert (await api.create(api.staff, params='{"upto": 5}'))["params"]["upto"] == 5


@pytest.mark.parametrize(
    ("body", "pointer", "words"),
    [
        ({"taskType": "numbr.count"}, "/taskType", "number.count"),
        ({"taskType": "number.count", "params": {"upto": "x"}}, "/params/upto", "int"),
        ({"taskType": "number.count", "params": '{"upto": '}, "/params", "truncated"),
        ({"taskType": "number.count", "params": {"upto": 1, "upot": 2}}, "/params", "upot"),
        ({"taskType": "number.count", "params": {"upto": 1}, "priority": 12}, "/priority", "9"),
        ({"taskType": "number.count", "params": {"upto": 1}, "scheduledAt": "2026-01-01T00:00:00"}, "/scheduledAt", "timezone"),
        ({"taskType": "number.count", "params": {"upto": 1}, "fileName": "a.csv", "sha256": "abc"}, "/sha256", "regex"),
        ({"taskType": "number.count", "params": {"upto": 1}, "fileSize": 3}, "/fileName", "fileName"),
        ({"taskType": "number.count", "params": {"upto": 1}, "filename": "a"}, "/data", "unknown field `filename`"),
        ({"taskType": "number.count", "params": {"upto": 1, "name": "a\0"}}, "/params/name", "NUL"),
        ({"taskType": "order.export", "params": {"a": [1, {"b": "\0"}]}}, "/params/a/1/b", "NUL"),
        ({"taskType": "order.export", "params": {"a": {"\0": 1}}}, "/params/a", "NUL"),
        ({"taskType": "order.export", "params": r'{"a": "\u0000"}'}, "/params/a", "NUL"),
        ({"taskType": "number.count", "params": {"upto": 1}, "uniqueKey": "a\0"}, "/uniqueKey", "regex"),
        ({"taskType": "number.count", "params": {"upto": 1}, "fileName": "a\0.csv"}, "/fileName", "regex"),
    ],
)  # fmt: skip
async def test_bad_request_names_the_place_and_changes_nothing(
    api: Api, body: dict[str, Any], pointer: str, words: str
) -> None:
    answer = await post(api.staff, **body)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert [violation["pointer"] for violation in problem["violations"]] == [pointer]
    assert words in answer.text
    assert await api.pool.fetch("select 1 from any_task") == []
    assert await api.audited() == []


async def test_what_only_looks_like_a_nul_is_kept(api: Api) -> None:
    created = await api.create(api.staff, taskType="order.export", params={"a": "\\u0000"})
    assert (await api.staff.get(f"{BASE}/tasks/{created['id']}")).json()["params"] == {"a": "\\u0000"}


async def test_requested_by_comes_from_the_token(api: Api) -> None:
    clerk = api.by("clara", "number_staff")
    refused = await post(clerk, taskType="number.count", params={"upto": 1}, requestedBy="bob")
    assert refused.status_code == 403
    assert (await api.create(api.staff, requestedBy="bob"))["requestedBy"] == "bob"


async def test_only_staff_of_the_data_create_tasks_on_it(api: Api) -> None:
    clerk, customer = api.by("clara", "number_staff"), api.by("carl", "customer")
    assert (await post(clerk, taskType="number.count", params={"upto": 1})).status_code == 201
    assert (await post(clerk, taskType="order.export")).status_code == 403
    assert (await post(customer, taskType="number.count", params={"upto": 1})).status_code == 403
    async with httpx.AsyncClient() as anybody:
        assert (await anybody.post(f"{api.url}{BASE}/tasks", json={})).status_code == 401


async def test_priority_is_capped_by_role(api: Api) -> None:
    assert (await api.create(api.by("clara", "number_staff"), priority=9))["priority"] == 4
    assert (await api.create(api.staff, priority=9))["priority"] == 7
    assert (await api.create(api.by("ada", "admin"), priority=9))["priority"] == 9


async def test_idempotency_key_replays_the_answer(api: Api) -> None:
    body = {"taskType": "number.count", "params": {"upto": 3}}
    headers = {"Idempotency-Key": "k-1"}
    client = api.staff
    first = await client.post(f"{BASE}/tasks", json=body, headers=headers)
    again = await client.post(f"{BASE}/tasks", json=body, headers=headers)
    other = await client.post(f"{BASE}/tasks", json={**body, "priority": 1}, headers=headers)
    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 409)
    assert first.json()["id"] == again.json()["id"]
    elsewhere = await api.by("ada", "admin").post(f"{BASE}/tasks", json=body, headers=headers)
    assert elsewhere.json()["id"] != first.json()["id"]
    assert len(await api.pool.fetch("select 1 from any_task")) == 2


async def test_unique_key_of_an_unfinished_task_is_taken(api: Api) -> None:
    await api.create(api.staff, uniqueKey="nightly")
    body = {"taskType": "number.count", "params": {"upto": 1}, "uniqueKey": "nightly"}
    assert (await post(api.staff, **body)).status_code == 409


async def test_uploading_makes_the_task_claimable(api: Api) -> None:
    data = b"a,b\n1,2\n"
    digest = hashlib.sha256(data).hexdigest()
    created = await api.create(
        api.staff, fileName="../évil name.csv", fileSize=len(data), sha256=digest.upper()
    )
    assert (created["status"], created["waitsFor"], created["inputFileUrl"]) == ("pending", "upload", None)
    assert re.search(r"/default/[0-9a-f-]{36}/input\.csv\?", created["uploadUrl"])
    async with httpx.AsyncClient() as anybody:
        url, headers = created["uploadUrl"], created["uploadHeaders"]
        assert (
            await anybody.put(url, content=b"a,b\n1,3\n", headers=headers)
        ).status_code == 400  # another digest
        still = await api.store.get(created["id"])
        assert still.waits_for == "upload"
        assert await api.objects.head(still.input_key or "") is None
        assert (await anybody.put(url, content=data, headers=headers)).status_code == 200
    task = await api.store.get(created["id"])
    assert (task.waits_for, task.status) == (None, "pending")
    link = (await api.staff.get(f"{BASE}/tasks/{task.id}/download", params={"file": "input"})).json()
    async with httpx.AsyncClient() as anybody:
        file = await anybody.get(link["url"])
    assert file.content == data
    assert "attachment" in file.headers["content-disposition"]


async def test_uploaded_hint_verifies_the_file(api: Api) -> None:
    created = await api.create(api.staff, fileName="a.csv", fileSize=4)
    hint = f"{BASE}/tasks/{created['id']}/uploaded"
    assert (await api.staff.post(hint)).status_code == 400  # nothing there
    key = (await api.store.get(created["id"])).input_key or ""
    await api.objects.put(key, b"too long")
    refused = await api.staff.post(hint)
    assert refused.status_code == 400
    assert "8 bytes" in refused.json()["detail"]
    await api.objects.put(key, b"abcd")
    assert (await api.staff.post(hint)).json()["waitsFor"] is None
    assert (await api.staff.post(hint)).status_code == 200  # a second hint does no harm
