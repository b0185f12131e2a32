"""The served OpenAPI document is kept: whatever is called, the answer is one that the document knows. (Annotations are read at run time.)"""

from pathlib import Path
from typing import Any, Literal, cast

import pytest
from litestar import Router, get
from litestar.params import FromQuery
from tests.unit.tasks_api.conftest import BASE, Api
from tests.unit.tasks_api.examining import Examined, examine

from opsplane.errors import OpsplaneError
from opsplane.tasks.api.staff_views import QueueView

Letter = Literal["a", "b", "c", "d"]


class Teapot(OpsplaneError):
    status = 418


# Planted: each answers one input of four with what it may not answer.
@get("/crash", operation_id="crash")
async def crash(letter: FromQuery[Letter]) -> None:
    if letter == "c":
        raise ZeroDivisionError("planted")


@get("/teapot", operation_id="teapot")
async def teapot(letter: FromQuery[Letter]) -> None:
    if letter == "c":
        raise Teapot("planted")


@get("/body", operation_id="body")
async def body(letter: FromQuery[Letter]) -> QueueView:
    return cast("QueueView", {"name": 5 if letter == "c" else "default"})


INSIDE = {
    "task.create", "task.cancel", "task.retry", "task.delete", "queue.pause", "queue.resume",
    "schedule.put", "schedule.run", "schedule.pause", "schedule.resume", "schedule.delete",
}  # fmt: skip


async def given(api: Api) -> dict[str, list[Any]]:
    """Names of things that exist: tasks in every state, queues, a schedule, and a remote worker of sam's."""
    staff = api.staff
    ids = [(await api.create(staff))["id"] for _ in range(5)]
    await api.start(ids[1])
    await api.finish(ids[2], 3)
    await api.finish(ids[3], 4)
    file = await api.create(staff, taskType="order.export", fileName="a.csv", fileSize=3)
    await staff.put(f"{BASE}/schedules/nightly", json={"cron": "@daily", "taskType": "order.export"})
    for _ in range(4):
        body = {"taskType": "invoice.render", "params": {"lines": []}}
        await staff.post(f"{BASE}/tasks", json=body)
    asked = {"worker": "w", "taskTypes": ["invoice.render"], "limit": 3, "leaseSeconds": 300}
    dealt = (await api.by("sam", "admin").post(f"{BASE}/worker/claim", json=asked)).json()
    return {
        "workerId": [dealt["workerId"]],
        "taskTypes": [["invoice.render"]],
        "waitSeconds": [0],
        "id": [claim["id"] for claim in dealt["claims"]],
        "token": [claim["token"] for claim in dealt["claims"]],
        "task_id": [*ids, file["id"]],
        "name": ["default", "number", "nightly"],
        "taskType": ["number.count", "order.export"],
        "params": [{"upto": 3}],
        "cron": ["0 3 * * *", "@hourly"],
        "zone": ["UTC", "Europe/Berlin"],
        "queue": ["default", "number"],
        "status": ["pending", "running", "failed"],
        "requestedBy": ["sam"],
        "parentId": ids,
        "startDate": ["2026-01-31"],
        "endDate": ["2099-12-31"],
    }


async def examined(api: Api, directory: Path, **more: Any) -> Examined:
    """What is found by an admin, who gets furthest."""
    token = api.issuer.issue("sam", ["admin"])
    return await examine(api.url, f"Bearer {token}", directory, given=await given(api), **more)


@pytest.mark.timeout(320)
async def test_answers_are_those_of_the_document(api: Api, tmp_path: Path) -> None:
    found = await examined(api, tmp_path, examples=8, seconds=300)
    assert (found.wrong, found.errors) == ([], []), found.text
    assert found.calls > 500
    assert {
        action for _, action in await api.audited()
    } >= INSIDE  # calls went past the checks of their input


async def test_what_is_planted_is_found(api: Api, tmp_path: Path) -> None:
    api.app.register(Router("/planted", route_handlers=[crash, teapot, body]))
    found = await examined(api, tmp_path, examples=20, only=["crash", "teapot", "body"])
    assert found.of("ServerError") == ["GET /planted/crash"], found.text
    assert found.of("UndefinedStatusCode") == ["GET /planted/crash", "GET /planted/teapot"]
    assert found.of("JsonSchemaError") == ["GET /planted/body"]


@pytest.mark.long
@pytest.mark.timeout(760)
async def test_answers_are_those_of_the_document_for_long(api: Api, tmp_path: Path) -> None:
    found = await examined(
        api, tmp_path, examples=100, phases="coverage,fuzzing,stateful", budget=600, seconds=700
    )
    print(
        f"{found.calls} calls, server errors {len(found.of('ServerError'))}, outside the document {len(found.wrong)}"
    )
    assert (found.wrong, found.errors) == ([], []), found.text
    assert found.calls >= 5000
    assert {action for _, action in await api.audited()} >= INSIDE
