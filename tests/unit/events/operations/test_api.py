from __future__ import annotations

import asyncio

TOPIC, GROUP = "catalog.product.created", "search-service"
DLQ = "/api/v1/admin/dlq"


async def test_publish_answers_every_violation(client, world):
    refused = await client.post(f"/api/v1/events/{TOPIC}", json={"price": "x"})
    assert refused.status_code == 400
    assert refused.headers["content-type"] == "application/problem+json"
    assert {one["pointer"] for one in refused.json()["violations"]} == {"/sku", "/price"}
    assert (await client.post("/api/v1/events/no.such.topic", json={})).status_code == 400
    assert await world.store.xlen(TOPIC) == 0
    accepted = await client.post(f"/api/v1/events/{TOPIC}?subject=a", json={"sku": "a", "price": 1})
    assert accepted.status_code == 202
    [(entry, _)] = await world.store.xrange(TOPIC)
    assert accepted.json()["data"]["entry"] == entry.decode()


async def test_only_staff_may_ask(client, world):
    for path in (f"{DLQ}/stats", f"{DLQ}/failed-events", f"{DLQ}/groups", "/api/v1/events/topics"):
        assert (await client.get(path, headers=client.customer)).status_code == 403
        assert (await client.get(path, headers={"Authorization": "Basic x"})).status_code == 401
        assert (await client.get(path)).status_code == 200
    assert (await client.post(f"/api/v1/events/{TOPIC}", json={}, headers=client.customer)).status_code == 403


async def test_a_dead_letter_from_list_to_replay(client, world):
    async with world.running(*world.duties(), world.group()):
        await world.force({"price": "x"}, 2)
        await world.eventually(lambda: world.has(2))
        stats = (await client.get(f"{DLQ}/stats")).json()["data"][TOPIC]
        assert (stats["count"], stats["threshold"], stats["exceeded"]) == (2, 10, False)
        page = (await client.get(f"{DLQ}/failed-events", params={"topic": TOPIC, "pageSize": 1})).json()
        assert (page["total"], page["pages"]) == (2, 2)
        [one] = page["data"]
        assert (one["topic"], one["retryCount"], one["reason"]) == (TOPIC, 0, "validation")
        shown = (await client.get(f"{DLQ}/{one['id']}")).json()["data"]
        assert len(shown["violations"]) == 2
        [cause] = (await client.get(f"{DLQ}/groups")).json()["data"]
        assert cause["count"] == 2

        assert (await client.delete(f"{DLQ}/{one['id']}")).status_code == 400
        gone = await client.delete(f"{DLQ}/{one['id']}", params={"reason": "test data"})
        assert gone.json()["data"] == {"discarded": 1}
        body = {"selection": {"topic": "catalog.*"}, "dryRun": True}
        assert (await client.post(f"{DLQ}/replays", json=body)).json()["data"]["count"] == 1
        [left] = await world.letters("waiting")
        world.accept_everything()
        started = await client.post(f"{DLQ}/retry", params={"event_id": left["event_id"]})
        assert started.status_code == 202
        number = started.json()["data"]["id"]
        await world.eventually(lambda: world.finished(number))
        found = (await client.get(f"{DLQ}/replays/{number}")).json()["data"]
        assert (found["state"], found["resolved"], found["requestedBy"]) == ("finished", 1, "sam")
        await world.eventually(lambda: world.has(0))
    assert (await client.get(f"{DLQ}/stats")).json()["data"][TOPIC]["count"] == 0
    audited = await world.pool.fetch("select actor, action from audit order by id")
    assert [(row["actor"], row["action"]) for row in audited] == [
        ("sam", "dlq.discard"),
        ("sam", "dlq.retry"),
    ]


async def test_what_is_not_there(client, world):
    assert (await client.get(f"{DLQ}/12")).status_code == 404
    assert (await client.post(f"{DLQ}/retry", params={"event_id": "nope"})).status_code == 404
    assert (await client.get(f"{DLQ}/replays/1")).status_code == 404
    assert (await client.post(f"{DLQ}/replays", json={"selection": {}})).status_code == 400
    assert (await client.post(f"{DLQ}/replays", json={"selection": {"topics": "x"}})).status_code == 400


async def test_topics_and_consumers_as_they_are(client, world):
    await world.force({"sku": "a", "price": 1}, 3)
    [topic] = (await client.get("/api/v1/events/topics")).json()["data"]
    assert (topic["topic"], topic["length"], topic["groups"]) == (TOPIC, 3, [])
    async with world.running(world.group()):
        await world.eventually(world.effects)

        async def alive():
            rows = (await client.get("/api/v1/events/consumers")).json()["data"]
            found = {row["group"]: row for row in rows}
            assert found["idle-service"]["alive"] == 0
            return found[GROUP]["alive"] == 1 and found[GROUP]["lag"] == 0 and found[GROUP]["pending"] == 0

        await world.eventually(alive)
    answer = await client.post(f"/api/v1/events/consumers/{GROUP}/pause", params={"reason": "reindex"})
    assert answer.json()["data"] == {"paused": [GROUP]}
    rows = (await client.get("/api/v1/events/consumers")).json()["data"]
    assert [row["group"] for row in rows if row["paused"]] == [GROUP]
    answer = await client.post(f"/api/v1/events/consumers/{GROUP}/resume")
    assert answer.json()["data"] == {"paused": []}


async def test_positions_over_http(client, world):
    async with world.running(world.group()):
        for number in range(5):
            await client.post(f"/api/v1/events/{TOPIC}", json={"sku": f"p{number}", "price": 1})
        await world.eventually(lambda: _effects(world, 5))
        base = f"/api/v1/events/consumers/{GROUP}"
        [lag] = (await client.get(f"{base}/lag?watch=0.1")).json()["data"]
        assert (lag["topic"], lag["lag"], lag["trend"]) == (TOPIC, 0, "none")
        assert (await client.get(f"{base}/lag?watch=60")).status_code == 400
        dry = (await client.post(f"{base}/reset", json={"dryRun": True})).json()["data"]
        assert dry["count"] == 5
        unanswered = await client.post(f"{base}/reset", json={})
        assert (unanswered.status_code, unanswered.json()["error"]) == (400, "Unanswered")
        done = await client.post(
            f"{base}/seek", json={"to": "beginning", "again": True, "reason": "index lost"}
        )
        assert [(one["topic"], one["again"], one["epoch"]) for one in done.json()["data"]] == [(TOPIC, 5, 1)]
        await world.eventually(lambda: _effects(world, 10))
        assert (await client.delete(base)).status_code == 409
        assert (
            await client.post(f"{base}/seek", json={"to": "end"}, headers=client.customer)
        ).status_code == 403
    assert (await client.delete(base)).json()["data"] == [TOPIC]
    rows = await world.pool.fetch("select actor, action, reason from audit where action = 'consumer.seek'")
    assert [(row["actor"], row["reason"]) for row in rows] == [("sam", "index lost")]


async def test_topics_over_http(client, world):
    await client.post(f"/api/v1/events/{TOPIC}", json={"sku": "a", "price": 1})
    later = await client.post(
        f"/api/v1/events/{TOPIC}",
        params={"deliver_at": "2999-01-01T00:00:00Z"},
        json={"sku": "b", "price": 1},
    )
    assert (later.status_code, later.json()["data"]["entry"]) == (202, "")
    shown = (await client.get(f"/api/v1/events/topics/{TOPIC}")).json()["data"]
    assert shown["standing"]["delayed"] == 1
    assert shown["standing"]["retention_seconds"] == 7 * 86400
    assert (await client.post("/api/v1/events/topics/trim", json={"dryRun": True})).json()["data"][
        "count"
    ] == 0
    await world.broker.call("HSET", "opsplane:full", TOPIC, '{"at": 1, "groups": ["search-service"]}')
    await asyncio.sleep(0.3)
    full = await client.post(f"/api/v1/events/{TOPIC}", json={"sku": "c", "price": 1})
    assert (full.status_code, full.json()["error"], full.headers["retry-after"]) == (503, "StreamFull", "1")


async def _effects(world, count: int) -> bool:
    return len(await world.effects()) >= count


async def test_breakers_are_seen_and_changed_with_a_reason(client, world):
    name = f"{GROUP}:index"
    await world.store.hset("opsplane:breaker:states", name, '{"opened": false, "since": 5.0}')
    path = "/api/v1/events/breakers"
    [found] = (await client.get(path)).json()["data"]
    assert (found["name"], found["group"], found["dependency"], found["state"]) == (
        name,
        GROUP,
        "index",
        "closed",
    )
    assert (await client.get(path, headers=client.customer)).status_code == 403
    assert (await client.post(f"{path}/{name}/open")).status_code == 400
    assert (await client.post(f"{path}/no:such/open", params={"reason": "a test"})).status_code == 404
    opened = await client.post(f"{path}/{name}/open", params={"reason": "a test"})
    [found] = opened.json()["data"]
    assert (found["state"], found["heldBy"], found["reason"]) == ("open", "sam", "a test")
    for verb in ("close", "reset"):
        [found] = (await client.post(f"{path}/{name}/{verb}", params={"reason": "over"})).json()["data"]
        assert (found["state"], found["heldBy"]) == ("closed", None)
