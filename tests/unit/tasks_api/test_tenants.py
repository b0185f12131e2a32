"""Who sees and changes which tasks; row security holds even where the application forgets to ask."""

from __future__ import annotations

import httpx
import pytest
from tests.unit.tasks_api.conftest import BASE, Api, listening

from opsplane.database import ViewedPool, Viewer
from opsplane.tasks import TaskFilter, TaskNotFound

NOWHERE = "01a212c2-04ca-79dc-8582-55c301fcf1a2"  # the id of no task
STAFF = "number_staff"  # may create number.count tasks, and is no operations_staff


class People:
    """Two tenants with two members each, somebody of neither, and staff; each has one task."""

    def __init__(self, api: Api) -> None:
        self.anna, self.adam = api.by("anna", STAFF, tenant="acme"), api.by("adam", STAFF, tenant="acme")
        self.berta, self.nobody = api.by("berta", STAFF, tenant="blue"), api.by("norma", STAFF)
        self.other = api.by("oskar", STAFF)
        self.staff = api.staff


@pytest.fixture
def people(api: Api) -> People:
    return People(api)


def reads(api: Api) -> list[str]:
    """Every path that reads something by a task's id, from the served document."""
    paths = api.app.openapi_schema.to_schema()["paths"]
    return sorted(path for path, item in paths.items() if "{task_id}" in path and "get" in item)


def changes(api: Api) -> list[tuple[str, str]]:
    """Every call that changes a task by its id."""
    paths = api.app.openapi_schema.to_schema()["paths"]
    return sorted(
        (verb, path)
        for path, item in paths.items()
        if "{task_id}" in path
        for verb in ("post", "patch", "delete", "put")
        if verb in item
    )


async def leaks(api: Api, client: httpx.AsyncClient, task_id: str) -> list[str]:
    """Which reads by id do not answer as if the task were not there."""
    found = []
    for path in reads(api):
        answer = await client.get(path.replace("{task_id}", task_id), timeout=2.0)
        if answer.status_code != 404:
            found.append(path)
    return found


async def test_no_id_leads_into_another_tenant(api: Api, people: People) -> None:
    assert len(reads(api)) >= 7
    mine = {client: (await api.create(client))["id"] for client in (people.anna, people.berta, people.nobody)}
    for client, task_id in mine.items():
        for other in (people.anna, people.berta, people.nobody, people.other):
            if other is not client:
                assert await leaks(api, other, task_id) == []
                for verb, path in changes(api):
                    answer = await other.request(verb, path.replace("{task_id}", task_id), json={})
                    unknown = await other.request(verb, path.replace("{task_id}", NOWHERE), json={})
                    assert answer.status_code == unknown.status_code >= 400, (verb, path, answer.text)
    assert await api.pool.fetch("select from task where status <> 0 or cancel_requested_at is not null") == []


async def test_without_row_security_the_test_before_would_see_it(api: Api, people: People) -> None:
    task_id = (await api.create(people.anna))["id"]
    for table in ("task", "task_history"):
        await api.pool.execute(f"alter table {table} disable row level security".encode())
    assert len(await leaks_without_streams(api, people.berta, task_id)) >= 4


async def leaks_without_streams(api: Api, client: httpx.AsyncClient, task_id: str) -> list[str]:
    found = []
    for path in reads(api):
        if not path.endswith("/stream"):
            answer = await client.get(path.replace("{task_id}", task_id))
            if answer.status_code == 200:
                found.append(path)
    return found


async def test_a_member_sees_what_is_its_tenants_and_changes_what_is_its_own(
    api: Api, people: People
) -> None:
    task = await api.create(people.anna)
    assert (task["tenant"], task["requestedBy"]) == ("acme", "anna")
    assert (await people.adam.get(f"{BASE}/tasks/{task['id']}")).status_code == 200
    refused = await people.adam.post(f"{BASE}/tasks/{task['id']}/cancel")
    assert refused.status_code == 403
    assert "anna's" in refused.json()["detail"]
    async with listening(people.adam, task["id"]) as events:
        assert (await anext(events))[0] == "snapshot"
    assert (await people.anna.post(f"{BASE}/tasks/{task['id']}/cancel")).json()["status"] == "cancelled"


async def test_lists_show_the_same(api: Api, people: People) -> None:
    for client in (people.anna, people.adam, people.berta, people.nobody, people.other):
        await api.create(client)

    async def seen(client: httpx.AsyncClient, **query: str) -> set[str]:
        answer = await client.get(f"{BASE}/tasks", params=query)
        assert answer.status_code == 200, answer.text
        assert answer.json()["total"] == len(answer.json()["data"])
        return {task["requestedBy"] for task in answer.json()["data"]}

    assert await seen(people.anna) == {"anna", "adam"}
    assert await seen(people.anna, requestedBy="adam") == {"adam"}
    assert await seen(people.berta) == {"berta"}
    assert await seen(people.nobody) == {"norma"}
    assert await seen(people.staff) == {"anna", "adam", "berta", "norma", "oskar"}
    assert await seen(people.staff, tenant="acme") == {"anna", "adam"}
    assert (await people.anna.get(f"{BASE}/tasks", params={"tenant": "blue"})).status_code == 403
    assert (await people.nobody.get(f"{BASE}/tasks", params={"requestedBy": "anna"})).status_code == 403


async def test_only_staff_creates_for_another_tenant(api: Api, people: People) -> None:
    body = {"taskType": "number.count", "params": {"upto": 3}, "tenant": "blue"}
    assert (await people.anna.post(f"{BASE}/tasks", json=body)).status_code == 403
    assert (await people.staff.post(f"{BASE}/tasks", json=body)).json()["tenant"] == "blue"


async def test_a_viewer_reads_and_writes_nothing_past_the_policies(api: Api, people: People) -> None:
    """Even a statement that asks for everything, in finished tasks as in others, and all that belongs to a task."""
    task_id = (await api.create(people.anna))["id"]
    await api.say(task_id, "hello")
    await api.pool.execute("insert into task_event (task_id, kind) values (%s, 'step')", [task_id])
    done = (await api.create(people.anna))["id"]
    await api.finish(done, 3)
    mine, others = (
        ViewedPool(api.pool, Viewer(*who, member=True)) for who in (("acme", "adam"), ("blue", "berta"))
    )
    for table, number in (
        ("task", 1),
        ("task_history", 1),
        ("any_task", 2),
        ("task_log", 1),
        ("task_event", 1),
    ):
        statement = f"select count(*) as n from {table}".encode()
        assert (await mine.fetch(statement))[0]["n"] == number, table
        assert (await others.fetch(statement))[0]["n"] == 0, table
    with pytest.raises(TaskNotFound):
        await api.store.seen_by(Viewer("blue", "berta", member=True)).get(task_id)
    assert (await api.store.seen_by(Viewer("default", "anna", member=False)).search(TaskFilter())).total == 0
    with pytest.raises(Exception, match="permission denied"):
        await mine.execute("delete from task")
    assert await api.pool.fetch("select current_user <> session_user as changed") == [{"changed": False}]
