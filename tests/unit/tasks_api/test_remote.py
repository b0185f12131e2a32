"""The worker protocol: who may, what is dealt, what is fenced, what a lease of time means."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest
from tests.unit.tasks_api.conftest import BASE, Api, until

from opsplane.resilience import Stop
from opsplane.tasks import OpenWorkshop, Worker

WORKER = f"{BASE}/worker"


async def call(client: httpx.AsyncClient, verb: str, status: int = 200, **body: Any) -> dict[str, Any]:
    answer = await client.post(f"{WORKER}/{verb}", json=body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def claim(client: httpx.AsyncClient, status: int = 200, **more: Any) -> dict[str, Any]:
    return await call(client, "claim", status, **{"worker": "w", "taskTypes": ["invoice.render"], **more})


async def invoice(api: Api, **more: Any) -> dict[str, Any]:
    body = {"taskType": "invoice.render", "params": {"lines": ["a"]}, **more}
    answer = await api.by("orla", "order_staff").post(f"{BASE}/tasks", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def events(api: Api, task_id: str) -> list[str]:
    rows = await api.pool.fetch("select topic from outbox where subject = %s order by topic", [task_id])
    return [row["topic"] for row in rows]


async def test_a_task_is_claimed_run_and_completed_with_all_that_others_see(api: Api) -> None:
    one, worker = await invoice(api), api.by("node-1", "task_worker")
    dealt = await claim(worker, limit=10, host="h", pid=7)
    [given] = dealt["claims"]
    assert (given["id"], given["params"], given["attempt"]) == (
        one["id"],
        {"lines": ["a"], "pauseMs": 0},
        1,
    )
    assert (given["timeoutSeconds"], given["inputFileUrl"]) == (600.0, None)
    running = await api.store.get(one["id"])
    assert (running.status, running.started_at is not None) == ("processing", True)
    heard = await call(
        worker,
        "progress",
        id=one["id"],
        token=given["token"],
        totalRecords=4,
        processedRecords=3,
        message="three",
        logs=[{"message": "line \u0000", "level": "warning", "fields": {"n": 1}}],
    )
    assert heard == {"cancel": False}
    assert (await api.store.get(one["id"])).progress_percentage == 75.0
    [line] = await api.store.logs(one["id"])
    assert (line.level, line.message, line.fields) == ("warning", "line \ufffd", {"n": 1})
    done = await call(
        worker, "complete", id=one["id"], token=given["token"], result={"pages": 2}, processedRecords=4
    )
    assert done == {"id": one["id"], "status": "completed", "againInSeconds": None}
    task = await api.store.get(one["id"])
    assert (task.result, task.processed_records, task.worker) == ({"pages": 2}, 4, dealt["workerId"])
    assert [event.kind for event in await api.store.events(one["id"])] == ["created", "started", "completed"]
    assert await events(api, one["id"]) == [
        f"operations.task.{kind}" for kind in ("completed", "created", "started")
    ]


async def test_who_may(api: Api) -> None:
    one = await invoice(api)
    for stranger in (api.by("clara"), api.staff, api.by("orla", "order_staff")):
        await claim(stranger, 403)
        refused = await stranger.patch(f"{BASE}/tasks/{one['id']}/progress", json={"processedRecords": 1})
        assert refused.status_code == 403
    refused = await claim(api.by("w", "task_worker"), 400, taskTypes=["order.export"])
    assert refused["error"] == "NotRemote"
    refused = await claim(api.by("w", "task_worker"), 400, taskTypes=["invoice.rander"])
    assert "invoice.render" in refused["remedy"]
    assert (await api.store.get(one["id"])).status == "pending"


async def test_a_token_is_of_no_use_to_another_subject(api: Api) -> None:
    one, mine, thief = await invoice(api), api.by("node-1", "task_worker"), api.by("node-2", "task_worker")
    dealt = await claim(mine)
    stolen = {"id": one["id"], "token": dealt["claims"][0]["token"]}
    await call(thief, "progress", 403, **stolen, processedRecords=1)
    await call(thief, "complete", 403, **stolen)
    await call(thief, "fail", 403, **stolen, errorKind="Mine")
    await call(thief, "heartbeat", 403, workerId=dealt["workerId"])
    await call(thief, "leave", 403, workerId=dealt["workerId"])
    await claim(thief, 403, workerId=dealt["workerId"], holding=[])
    for body in ({"processedRecords": 1}, {"processedRecords": 1, "token": stolen["token"]}):
        refused = await thief.patch(f"{BASE}/tasks/{one['id']}/progress", json=body)
        assert refused.status_code == 403
    task = await api.store.get(one["id"])
    assert (task.status, task.processed_records, task.claim_token) == ("processing", 0, stolen["token"])


async def test_progress_without_a_token_is_for_the_worker_of_the_running_attempt(api: Api) -> None:
    one, mine = await invoice(api), api.by("node-1", "task_worker")
    path = f"{BASE}/tasks/{one['id']}/progress"
    assert (await mine.patch(path, json={"processedRecords": 1})).status_code == 409  # nobody runs it
    token = (await claim(mine))["claims"][0]["token"]
    told = await mine.patch(path, json={"processedRecords": 1, "totalRecords": 2})
    assert (told.status_code, told.json()["progressPercentage"]) == (200, 50.0)
    assert (await mine.patch(path, json={"processedRecords": 2, "token": token})).status_code == 200
    assert (await mine.patch(path, json={"processedRecords": 9, "token": token + 1})).status_code == 409
    assert (await api.store.get(one["id"])).processed_records == 2
    own = await api.create(api.staff)  # one of the platform's own workers runs it
    await api.pool.execute(
        "insert into worker (name, host, pid, task_types, slots) values ('l', 'h', 1, '{}', 1)"
    )
    await api.start(own["id"])
    await api.pool.execute(
        "update task set worker = (select max(number) from worker) where id = %s", [own["id"]]
    )
    refused = await mine.patch(f"{BASE}/tasks/{own['id']}/progress", json={"processedRecords": 1, "token": 1})
    assert refused.status_code == 403


async def test_an_end_is_written_once(api: Api) -> None:
    one, worker = await invoice(api), api.by("node-1", "task_worker")
    token = (await claim(worker))["claims"][0]["token"]
    await call(worker, "complete", id=one["id"], token=token, result={"first": True})
    before = await api.store.get(one["id"])
    for verb, more in (
        ("complete", {"result": {"first": False}}),
        ("fail", {"errorKind": "Late"}),
        ("progress", {}),
    ):
        again = await call(worker, verb, 409, id=one["id"], token=token, **more)
        assert again["error"] == "Fenced"
        assert "has ended" in again["detail"]
    assert await api.store.get(one["id"]) == before
    for unknown in ("019a0000-0000-7000-8000-000000000000", "no-id"):
        assert (await worker.post(f"{WORKER}/complete", json={"id": unknown, "token": 1})).status_code in (
            404,
            409,
        )


async def test_a_failure_is_tried_again_as_the_type_says(api: Api) -> None:
    one, worker = await invoice(api), api.by("node-1", "task_worker")
    statuses = []
    for attempt in (1, 2, 3):
        dealt = await claim(worker, waitSeconds=5)
        assert dealt["claims"][0]["attempt"] == attempt
        failed = await call(
            worker,
            "fail",
            id=one["id"],
            token=dealt["claims"][0]["token"],
            errorKind="PrinterOnFire",
            message="smoke",
            retryAfterSeconds=0,
        )
        statuses.append(failed["status"])
    task = await api.store.get(one["id"])
    assert statuses == ["pending", "pending", "failed"]
    assert (task.error_kind, task.error_message, task.retry_count) == ("PrinterOnFire", "smoke", 2)
    two = await invoice(api)
    token = (await claim(worker))["claims"][0]["token"]
    spaced = await call(worker, "fail", id=two["id"], token=token, errorKind="E")
    assert 0.4 < spaced["againInSeconds"] <= 1.0  # the type's own backoff
    three = await invoice(api)
    token = (await claim(worker))["claims"][0]["token"]
    assert (await call(worker, "fail", id=three["id"], token=token, errorKind="E", retry=False))[
        "status"
    ] == "failed"


async def test_a_claim_waits_for_a_task_and_no_longer_than_half_its_lease(api: Api) -> None:
    worker = api.by("node-1", "task_worker")
    began = time.monotonic()
    assert (await claim(worker))["claims"] == []
    assert time.monotonic() - began < 1.0
    waiting = asyncio.create_task(claim(worker, waitSeconds=20))
    await asyncio.sleep(0.3)
    one, created = await invoice(api), time.monotonic()
    dealt = await waiting
    assert [given["id"] for given in dealt["claims"]] == [one["id"]]
    assert time.monotonic() - created < 0.5  # by the doorbell, not by the poll
    began = time.monotonic()
    assert (await claim(worker, waitSeconds=20, leaseSeconds=5))["claims"] == []
    assert 2.0 < time.monotonic() - began < 4.0


async def test_a_client_that_went_while_it_waited_is_dealt_nothing(api: Api) -> None:
    dead, alive = api.by("node-1", "task_worker"), api.by("node-2", "task_worker")
    with pytest.raises(httpx.ReadTimeout):
        await dead.post(
            f"{WORKER}/claim",
            json={"worker": "w", "taskTypes": ["invoice.render"], "waitSeconds": 15},
            timeout=0.5,
        )
    await asyncio.sleep(0.2)
    one = await invoice(api)
    await asyncio.sleep(0.3)
    [given] = (await claim(alive))["claims"]
    assert (given["id"], given["attempt"]) == (one["id"], 1)


async def test_who_waits_is_answered_when_the_process_stops(api: Api) -> None:
    waiting = asyncio.create_task(claim(api.by("node-1", "task_worker"), waitSeconds=14))
    await asyncio.sleep(0.5)
    began = time.monotonic()
    api.stop.set()
    assert (await waiting)["claims"] == []
    assert time.monotonic() - began < 1.5


async def test_a_dealer_that_lost_its_session_has_who_waits_ask_again_and_goes_on(api: Api) -> None:
    worker = api.by("node-1", "task_worker")
    waiting = asyncio.create_task(claim(worker, 503, waitSeconds=14))
    await asyncio.sleep(0.5)
    await api.pool.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'opsplane task dealer'"
    )
    one = await invoice(api)
    assert (await waiting)["remedy"] == "Claim again."
    [given] = (await claim(worker, waitSeconds=10))["claims"]
    assert (given["id"], given["attempt"]) == (one["id"], 1)


async def test_what_an_answer_lost_is_handed_back_at_the_next_claim(api: Api) -> None:
    """The worker tells what it holds; the rest of what it was given never reached it. Control: without telling, nothing."""
    ids = {(await invoice(api))["id"] for _ in range(3)}
    worker = api.by("node-1", "task_worker")
    dealt = await claim(worker, limit=3)
    kept, *lost = dealt["claims"]
    assert (await claim(worker, limit=3, workerId=dealt["workerId"]))["claims"] == []
    again = await claim(worker, limit=3, workerId=dealt["workerId"], holding=[kept["token"]], waitSeconds=5)
    assert {given["id"] for given in again["claims"]} == {given["id"] for given in lost} == ids - {kept["id"]}
    await call(worker, "complete", id=kept["id"], token=kept["token"])
    await call(worker, "complete", 409, id=lost[0]["id"], token=lost[0]["token"])


async def test_workers_that_ask_at_once_share_and_nothing_is_given_twice(api: Api) -> None:
    for _ in range(30):
        await invoice(api)
    workers = [api.by(f"node-{number}", "task_worker") for number in range(6)]
    dealt = await asyncio.gather(*(claim(one, limit=5, waitSeconds=5) for one in workers))
    ids = [given["id"] for one in dealt for given in one["claims"]]
    assert [len(one["claims"]) for one in dealt] == [5] * 6
    assert len(set(ids)) == 30


async def test_a_paused_queue_deals_nothing_and_goes_on_when_resumed(api: Api) -> None:
    one, worker, staff = await invoice(api), api.by("node-1", "task_worker"), api.staff
    await staff.post(f"{BASE}/queues/order/pause")
    await asyncio.sleep(0.3)
    assert (await claim(worker, waitSeconds=2))["claims"] == []
    waiting = asyncio.create_task(claim(worker, waitSeconds=10))
    await asyncio.sleep(0.2)
    await staff.post(f"{BASE}/queues/order/resume")
    assert [given["id"] for given in (await waiting)["claims"]] == [one["id"]]


async def test_cancelling_reaches_the_worker_which_ends_the_task(api: Api) -> None:
    one, two = await invoice(api), await invoice(api)
    worker = api.by("node-1", "task_worker")
    dealt = await claim(worker, limit=2)
    tokens = {given["id"]: given["token"] for given in dealt["claims"]}
    await api.staff.post(f"{BASE}/tasks/{one['id']}/cancel")
    stranger = max(tokens.values()) + 5
    pulse = await call(worker, "heartbeat", workerId=dealt["workerId"], tokens=[*tokens.values(), stranger])
    assert sorted(pulse["held"]) == sorted(tokens.values())
    assert (pulse["cancel"], pulse["lost"]) == ([tokens[one["id"]]], [stranger])
    told = await call(worker, "progress", id=one["id"], token=tokens[one["id"]])
    assert told == {"cancel": True}
    ended = await call(worker, "fail", id=one["id"], token=tokens[one["id"]], errorKind="Cancelled")
    assert ended["status"] == "cancelled"
    await api.staff.post(f"{BASE}/tasks/{two['id']}/cancel")
    done = await call(worker, "complete", id=two["id"], token=tokens[two["id"]])  # it was faster
    assert done["status"] == "completed"


async def test_files_come_and_go_by_signed_urls(api: Api) -> None:
    made = await invoice(api, fileName="lines.txt", fileSize=5)
    worker, plain = api.by("node-1", "task_worker"), httpx.AsyncClient()
    await plain.put(made["uploadUrl"], content=b"a\nb\nc", headers=made["uploadHeaders"])
    dealt = await claim(worker, waitSeconds=5)
    [given] = dealt["claims"]
    assert (await plain.get(given["inputFileUrl"])).content == b"a\nb\nc"
    body = {
        "id": given["id"],
        "token": given["token"],
        "resultFile": {"fileName": "invoice.txt", "contentType": "text/plain", "rows": 3},
    }
    missing = await call(worker, "complete", 400, **body)
    assert missing["error"] == "UploadMissing"
    assert (await api.store.get(given["id"])).status == "processing"
    put = await plain.put(given["resultUploadUrl"], content=b"three", headers=given["resultUploadHeaders"])
    assert put.status_code < 300, put.text
    await call(worker, "complete", **body)
    link = (await api.staff.get(f"{BASE}/tasks/{given['id']}/download")).json()
    assert (link["fileName"], link["contentType"]) == ("invoice.txt", "text/plain")
    assert (await plain.get(link["url"])).content == b"three"
    await plain.aclose()


async def test_a_worker_that_leaves_hands_its_tasks_back_at_once(api: Api) -> None:
    one, worker = await invoice(api), api.by("node-1", "task_worker")
    dealt = await claim(worker)
    assert await call(worker, "leave", workerId=dealt["workerId"]) == {"handedBack": 1}
    task = await api.store.get(one["id"])
    assert (task.status, task.retry_count) == ("pending", 0)
    gone = await call(worker, "heartbeat", 409, workerId=dealt["workerId"])
    assert gone["error"] == "WorkerGone"
    await claim(worker, 409, workerId=dealt["workerId"])
    [shown] = (await api.staff.get(f"{BASE}/workers")).json()["data"]
    assert (shown["name"], shown["owner"], shown["goneReason"]) == ("w", "node-1", "stopped")


async def test_the_rescuer_leaves_a_remote_worker_alone_while_its_lease_holds(api: Api) -> None:
    """Nobody holds an advisory lock for it: that its lock is free says nothing."""
    one, worker = await invoice(api), api.by("node-1", "task_worker")
    dealt = await claim(worker, leaseSeconds=5)
    async with api.rescuing():
        for _ in range(4):
            await asyncio.sleep(2.0)
            pulse = await call(
                worker, "heartbeat", workerId=dealt["workerId"], tokens=[dealt["claims"][0]["token"]]
            )
            assert pulse["lost"] == []
    task = await api.store.get(one["id"])
    assert (task.status, task.claim_token) == ("processing", dealt["claims"][0]["token"])
    [shown] = (await api.staff.get(f"{BASE}/workers")).json()["data"]
    assert (shown["goneAt"], shown["running"], shown["slots"]) == (None, 1, 1)


async def test_the_tasks_of_a_worker_whose_lease_ended_are_run_by_another(api: Api) -> None:
    one, silent = await invoice(api), api.by("node-1", "task_worker")
    stale = (await claim(silent, leaseSeconds=5))["claims"][0]
    other = api.by("node-2", "task_worker")
    async with api.rescuing():
        began = time.monotonic()
        dealt = await claim(other, waitSeconds=15)
        assert 4.0 < time.monotonic() - began < 9.0
        [given] = dealt["claims"]
        assert (given["id"], given["attempt"]) == (one["id"], 2)
        before = await api.store.get(one["id"])
        for verb, more in (
            ("complete", {"result": {"stale": 1}}),
            ("fail", {"errorKind": "E"}),
            ("progress", {}),
        ):
            await call(silent, verb, 409, id=one["id"], token=stale["token"], **more)
        assert await api.store.get(one["id"]) == before
    await call(other, "complete", id=one["id"], token=given["token"], result={"stale": 0})
    task = await api.store.get(one["id"])
    assert (task.result, task.retry_count) == ({"stale": 0}, 0)
    kinds = [event.kind for event in await api.store.events(one["id"])]
    assert kinds == ["created", "started", "rescued", "started", "completed"]
    lost = {
        row["name"]: row for row in (await api.staff.get(f"{BASE}/workers")).json()["data"] if row["goneAt"]
    }
    assert lost["w"]["goneReason"] == "its lease has ended"


async def test_a_rescuer_that_begins_gives_each_worker_its_lease_to_call(api: Api) -> None:
    """The platform was away, and with it the place to call: a lease that ended meanwhile says nothing."""
    one, worker = await invoice(api), api.by("node-1", "task_worker")
    dealt = await claim(worker, leaseSeconds=5)
    await api.pool.execute("update worker set lease_until = clock_timestamp() - interval '1 hour'")
    async with api.rescuing():
        await asyncio.sleep(2.5)
        pulse = await call(
            worker, "heartbeat", workerId=dealt["workerId"], tokens=[dealt["claims"][0]["token"]]
        )
        assert pulse["lost"] == []
    assert (await api.store.get(one["id"])).status == "processing"


async def test_any_call_about_a_task_keeps_the_lease(api: Api) -> None:
    one, worker = await invoice(api), api.by("node-1", "task_worker")
    dealt = await claim(worker, leaseSeconds=5)
    await api.pool.execute("update worker set lease_until = lease_until - interval '4 seconds'")
    await call(worker, "progress", id=one["id"], token=dealt["claims"][0]["token"])
    row = await api.pool.fetch_one(
        "select lease_until > clock_timestamp() + interval '4 seconds' as kept from worker"
    )
    assert row == {"kept": True}


async def test_an_attempt_beyond_its_timeout_is_ended_by_the_rescuer(api: Api) -> None:
    one, worker = await invoice(api, timeoutSeconds=1, maxRetries=0), api.by("node-1", "task_worker")
    token = (await claim(worker, leaseSeconds=60))["claims"][0]["token"]
    async with api.rescuing():

        async def failed() -> bool:
            return (await api.store.get(one["id"])).status == "failed"

        await until(failed, 6.0)
    assert (await api.store.get(one["id"])).error_kind == "TimedOut"
    await call(worker, "complete", 409, id=one["id"], token=token)


async def test_workers_of_the_installation_leave_remote_types_alone(api: Api) -> None:
    one = await invoice(api)
    stop = Stop()
    workshop = OpenWorkshop(api.types, dict.fromkeys([kind.service for kind in api.types], None))  # type: ignore[arg-type]
    running = asyncio.create_task(
        Worker(api.pool, workshop, outbox=api.outbox, doorbell=api.doorbell).run(stop)
    )
    await asyncio.sleep(1.5)
    [shown] = (await api.staff.get(f"{BASE}/workers")).json()["data"]
    assert sorted(shown["taskTypes"]) == ["number.count", "order.export"]
    assert (await api.store.get(one["id"])).status == "pending"
    stop.set()
    await running
