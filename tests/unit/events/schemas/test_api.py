"""The registry over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.unit.events.schemas.conftest import CONSUMED, NUMBER, SUBJECT, Registry, file, price

from opsplane.embedded.keys import ensure_keys
from opsplane.events import Schemas
from opsplane.events.api import handlers
from opsplane.events.direct import DirectPublisher
from opsplane.events.schemas.files import register_files
from opsplane.telemetry import Health
from opsplane.web import TokenIssuer, Verifier, create_app

BASE = "/api/v1/schemas"
OF = f"{BASE}/subjects/{SUBJECT}"


@pytest.fixture
async def client(held: Registry, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    ensure_keys(tmp_path)
    private, jwks = tmp_path / "issuer.pem", tmp_path / "jwks.json"
    routes = handlers(held.backbone, DirectPublisher(held.broker, Schemas()), {})
    app = create_app("events", routes, verifier=Verifier(jwks, "opsplane", "opsplane"), health=Health())
    issuer = TokenIssuer(private, jwks, "opsplane", "opsplane")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://events") as found:
        found.headers["Authorization"] = f"Bearer {issuer.issue('sam', ['operations_staff'])}"
        found.customer = {"Authorization": f"Bearer {issuer.issue('eve', ['customer'])}"}
        yield found


async def test_a_schema_from_registration_to_deprecation(client, held) -> None:
    made = await client.post(f"{OF}/versions", json={"schema": price()}, params={"reason": "new"})
    assert made.status_code == 201, made.text
    version = made.json()["data"]["version"]
    assert (version["version"], version["state"], version["registeredBy"]) == (1, "draft", "sam")
    again = await client.post(f"{OF}/versions", json={"schema": price()})
    assert (again.status_code, again.json()["data"]["known"]) == (200, True)
    promoted = await client.post(f"{OF}/versions/1/promote")
    assert promoted.json()["data"]["state"] == "active"
    assert (await client.post(f"{OF}/versions/1/promote")).status_code == 409
    more = await client.post(f"{OF}/versions", json={"schema": price(a=NUMBER), "formats": "annotate"})
    assert more.json()["data"]["version"]["formats"] == "annotate"
    listed = (await client.get(f"{OF}/versions")).json()["data"]
    assert [(one["version"], one["state"]) for one in listed] == [(1, "active"), (2, "draft")]
    for wanted, number in (("latest", 1), ("1", 1), ("2", 2)):
        assert (await client.get(f"{OF}/versions/{wanted}")).json()["data"]["version"] == number
    [subject] = (await client.get(f"{BASE}/subjects")).json()["data"]
    assert (subject["subject"], subject["active"], subject["newest"], subject["drafts"]) == (SUBJECT, 1, 2, 1)
    gone = await client.post(f"{OF}/versions/1/deprecate", params={"reason": "old"})
    assert gone.json()["data"]["deprecatedBy"] == "sam"
    rows = await held.pool.fetch("select action, reason, outcome from audit order by id")
    assert [(row["action"], row["reason"]) for row in rows if row["outcome"] == "done"] == [
        ("schema.register", "new"), ("schema.register", None), ("schema.promote", None),
        ("schema.register", None), ("schema.deprecate", "old"),
    ]  # fmt: skip


async def test_409_names_the_change_and_the_consumers_it_breaks(client, held) -> None:
    await register_files(held.pool, [file(1, price())], CONSUMED)
    body = {"schema": price("amount", amount=NUMBER)}
    refused = await client.post(f"{OF}/versions", json=body)
    assert (refused.status_code, refused.headers["content-type"]) == (409, "application/problem+json")
    problem = refused.json()
    [change] = problem["violations"]
    assert (change["version"], change["pointer"], change["keyword"]) == (1, "/amount", "required")
    assert change["consumers"] == ["order-service", "search-service"]
    assert (problem["error"], "search-service" in problem["detail"]) == ("IncompatibleSchema", True)
    checked = await client.post(f"{OF}/compatibility", json=body)
    assert (checked.status_code, checked.json()["data"]["compatible"]) == (200, False)
    assert len((await client.get(f"{OF}/versions")).json()["data"]) == 1
    free = await client.post(f"{OF}/compatibility", json=body, params={"mode": "FORWARD"})
    assert {one["breaks"] for one in free.json()["data"]["changes"]} == {"consumers"}


async def test_the_mode_of_a_subject(client, held) -> None:
    await register_files(held.pool, [file(1, price())], CONSUMED)
    assert (await client.get(f"{OF}/compatibility")).json() == {"data": {"mode": "BACKWARD"}}
    put = await client.put(f"{OF}/compatibility", json={"mode": "NONE"}, params={"reason": "once"})
    assert put.json() == {"data": {"mode": "NONE"}}
    assert (await client.post(f"{OF}/versions", json={"schema": {"type": "string"}})).status_code == 201
    assert (await client.put(f"{OF}/compatibility", json={"mode": "SOME"})).status_code == 400
    assert (await client.get(f"{BASE}/subjects/shop.no.such/compatibility")).status_code == 404


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"schema": {"type": "strin"}}, "Not a JSON Schema"),
        ({"schema": {"$ref": "http://example.org/x.json"}}, "nothing is fetched"),
        ({"schema": {"$schema": "http://json-schema.org/draft-04/schema#"}}, "draft-04"),
        ({"schema": {"x-formats": "maybe"}}, "x-formats"),
        ({"schema": []}, ""),
        ({"schema": {}, "scope": "all"}, ""),
        ({"schema": {}, "more": 1}, ""),
        ({}, ""),
    ],
)
async def test_what_cannot_be_registered_is_400_with_its_reason(client, body, told) -> None:
    refused = await client.post(f"{OF}/versions", json=body)
    assert refused.status_code == 400, refused.text
    assert told in refused.json()["detail"]


async def test_only_staff_may_look_or_act(client) -> None:
    for method, path in (
        ("GET", "/subjects"), ("GET", "/asyncapi"), ("GET", f"/subjects/{SUBJECT}/versions/latest"),
        ("POST", f"/subjects/{SUBJECT}/versions"), ("POST", f"/subjects/{SUBJECT}/versions/1/promote"),
        ("PUT", f"/subjects/{SUBJECT}/compatibility"),
    ):  # fmt: skip
        answer = await client.request(method, BASE + path, headers=client.customer, json={})
        assert answer.status_code == 403, path


async def test_asyncapi_is_served(client, held) -> None:
    await register_files(held.pool, [file(1, price())], CONSUMED)
    found = (await client.get(f"{BASE}/asyncapi")).json()
    assert (found["asyncapi"], found["channels"][SUBJECT]["address"]) == ("3.0.0", SUBJECT)
