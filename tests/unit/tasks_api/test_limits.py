"""`/limits` and the settings of queues as staff use them."""

from __future__ import annotations

from tests.unit.tasks_api.conftest import BASE, Api


async def test_a_limit_is_set_changed_listed_and_lifted(api: Api) -> None:
    staff = api.staff
    made = await staff.put(f"{BASE}/limits/type/number.count", json={"concurrency": 3})
    assert made.status_code == 200, made.text
    assert (made.json()["concurrency"], made.json()["updatedBy"]) == (3, "sam")
    await api.create(staff)
    changed = await staff.put(f"{BASE}/limits/type/number.count", json={"rate": 5, "perSeconds": 60})
    assert changed.json()["concurrency"] is None
    (found,) = (await staff.get(f"{BASE}/limits")).json()["data"]
    assert (found["rate"], found["perSeconds"], found["taken"], found["held"]) == (5, 60.0, 0, 1)
    each = await staff.put(f"{BASE}/limits/tenant/*", json={"concurrency": 1})
    assert each.status_code == 200, each.text
    assert (await staff.delete(f"{BASE}/limits/type/number.count")).status_code == 204
    assert (await staff.delete(f"{BASE}/limits/type/number.count")).status_code == 404
    assert [action for _, action in await api.audited() if action.startswith("limit.")] == [
        "limit.put", "limit.put", "limit.put", "limit.delete", "limit.delete"
    ]  # fmt: skip


async def test_what_limits_nothing_or_cannot_be_kept_is_refused_with_its_place(api: Api) -> None:
    for path, body, pointer in (
        ("type/number.count", {}, "/concurrency"),
        ("type/number.count", {"rate": 5}, "/perSeconds"),
        ("type/number.count", {"concurrency": 0}, "/concurrency"),
        ("queue/*", {"concurrency": 1}, "/name"),
    ):
        answer = await api.staff.put(f"{BASE}/limits/{path}", json=body)
        assert answer.status_code == 400, (path, answer.text)
        assert answer.json()["violations"][0]["pointer"] == pointer
    assert (
        await api.staff.put(f"{BASE}/limits/planet/earth", json={"rate": 1, "perSeconds": 1})
    ).status_code in (400, 404)
    assert (await api.staff.get(f"{BASE}/limits")).json()["data"] == []


async def test_a_queue_has_a_weight_and_turns(api: Api) -> None:
    staff = api.staff
    done = (await staff.put(f"{BASE}/queues/number", json={"weight": 2.5})).json()
    assert (done["weight"], done["fair"]) == (2.5, False)
    done = (await staff.put(f"{BASE}/queues/number", json={"fair": True})).json()
    assert (done["weight"], done["fair"]) == (2.5, True)
    await api.create(staff)
    (queue,) = (await staff.get(f"{BASE}/queues")).json()["data"]
    assert (queue["pending"], queue["held"]) == (1, 1)


async def test_limits_are_for_staff(api: Api) -> None:
    customer = api.by("carl", "customer")
    assert (await customer.get(f"{BASE}/limits")).status_code == 403
    assert (await customer.put(f"{BASE}/limits/queue/number", json={"concurrency": 1})).status_code == 403
    assert (await customer.put(f"{BASE}/queues/number", json={"fair": True})).status_code == 403
