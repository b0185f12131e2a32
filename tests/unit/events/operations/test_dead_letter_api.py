"""Dead letters over HTTP to the depth of the command line, and each service's own view of them."""

from __future__ import annotations

import json

TOPIC, GROUP = "catalog.product.created", "search-service"
DLQ = "/api/v1/admin/dlq"


async def two_groups(world) -> None:
    """One dead letter of the service's own group, and one of another's."""
    for number, group in enumerate((GROUP, "audit-service")):
        event = {
            "specversion": "1.0",
            "id": f"e{number}",
            "source": "shop",
            "type": TOPIC,
            "data": {"sku": "a"},
        }
        beside = {"group": group, "reason": "internal", "fingerprint": "f", "message": f"failed in {group}"}
        await world.store.xadd(f"{TOPIC}.dlq", {"data": json.dumps(event), "metadata": json.dumps(beside)})
    await world.keeper.step()


async def test_a_service_serves_its_own_groups_only(own, world):
    await two_groups(world)
    stats = (await own.get(f"{DLQ}/stats")).json()["data"]
    assert stats[TOPIC]["count"] == 1
    page = (await own.get(f"{DLQ}/failed-events")).json()
    assert page["total"] == 1
    [mine] = page["data"]
    assert {"id", "topic", "errorMessage", "retryCount"} <= mine.keys()
    assert (mine["topic"], mine["errorMessage"]) == (TOPIC, f"failed in {GROUP}")
    assert (await own.get(f"{DLQ}/failed-events", params={"group": "audit-service"})).json()["total"] == 0
    others = [row["id"] for row in await world.letters() if row["consumer_group"] != GROUP]
    for name in ("e1", str(others[0])):
        assert (await own.post(f"{DLQ}/retry", params={"event_id": name})).status_code == 404
    assert (await own.post(f"{DLQ}/retry", params={"event_id": "e0"})).status_code == 202
    states = {row["consumer_group"]: row["state"] for row in await world.letters()}
    assert states == {GROUP: "replaying", "audit-service": "waiting"}
    for path in ("stats", "failed-events"):
        assert (await own.get(f"{DLQ}/{path}", headers=own.customer)).status_code == 403
        assert (await own.get(f"{DLQ}/{path}", headers={"Authorization": "-"})).status_code == 401
    refused = await own.post(f"{DLQ}/retry", params={"event_id": "e0"}, headers=own.customer)
    assert refused.status_code == 403


async def test_filters_are_the_command_lines(client, world):
    await two_groups(world)
    for query, total in (
        ({"text": "audit failed"}, 1), ({"group": GROUP}, 1), ({"since": "1h"}, 2), ({"until": "2020-01-01"}, 0),
        ({"eventType": TOPIC}, 2), ({"pointer": "/x"}, 0), ({"state": "all"}, 2), ({"state": "resolved"}, 0),
    ):  # fmt: skip
        page = (await client.get(f"{DLQ}/failed-events", params=query)).json()
        assert page["total"] == total, query
    [cause] = (await client.get(f"{DLQ}/groups", params={"group": GROUP})).json()["data"]
    assert cause["count"] == 1
    for wrong in ({"since": "soon"}, {"text": "!"}, {"state": "lost"}):
        assert (await client.get(f"{DLQ}/failed-events", params=wrong)).status_code == 400
    body = {"selection": {"text": "audit", "since": "2020-01-01T00:00:00Z"}, "dryRun": True}
    answer = (await client.post(f"{DLQ}/replays", json=body)).json()["data"]
    assert (answer["count"], len(answer["sample"])) == (1, 1)


async def test_edited_and_replayed(client, world):
    async with world.running(*world.duties(), world.group()):
        await world.force({"sku": "a", "price": "x"})
        [letter] = await world.eventually(world.letters)
        path = f"{DLQ}/{letter['id']}"
        refused = await client.patch(path, json={"put": {"/price": "y"}, "reason": "typo"})
        assert refused.status_code == 400
        assert [one["pointer"] for one in refused.json()["violations"]] == ["/price"]
        assert (await client.patch(path, json={"put": {"/price": 1}})).status_code == 400, "no reason"
        assert (
            await client.patch(path, json={"put": {"/price": 1}, "reason": "x"}, headers=client.customer)
        ).status_code == 403
        done = await client.patch(path, json={"put": {"/price": 1}, "reason": "typo", "retry": True})
        assert done.status_code == 200
        [edit] = done.json()["data"]["edits"]
        assert (edit["by"], edit["changes"]) == ("sam", [{"place": "/data/price", "before": "x", "after": 1}])
        await world.eventually(lambda: world.finished(done.json()["data"]["replay"]["id"]))
    assert await world.effects() == [letter["event_id"]]
    audited = await world.pool.fetch("select action, parameters, reason from audit order by id")
    assert [row["action"] for row in audited] == ["dlq.edit", "dlq.edit", "dlq.retry"]
    assert audited[1]["parameters"] == {"letter": letter["id"], "places": ["/price"], "force": False}


async def test_exported_and_imported(client, world):
    await two_groups(world)
    lines = await client.get(f"{DLQ}/export", params={"group": GROUP})
    assert lines.headers["content-type"].startswith("application/x-ndjson")
    [line] = lines.text.splitlines()
    await world.pool.execute("truncate dead_letter cascade")
    preview = await client.post(f"{DLQ}/import", params={"dry_run": "true"}, content=lines.content)
    assert preview.json()["data"]["count"] == 1
    for imported, known in ((1, 0), (0, 1)):
        answer = await client.post(f"{DLQ}/import", content=lines.content)
        assert (answer.status_code, answer.json()["data"]) == (
            200,
            {"imported": imported, "known": known, "settled": 0},
        )
    bad = await client.post(f"{DLQ}/import", content=line.encode() + b"\n{}\n\nno")
    assert bad.status_code == 400
    assert [one["line"] for one in bad.json()["violations"]] == [2, 4]
    assert (
        await client.post(f"{DLQ}/import", content=lines.content, headers=client.customer)
    ).status_code == 403
    assert len(await world.letters()) == 1
