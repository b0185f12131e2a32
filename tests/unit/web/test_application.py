"""What every role's application answers alike: identity, problems, health, metrics, OpenAPI."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from litestar import delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.testing import AsyncTestClient

from opsplane.embedded.keys import ensure_keys
from opsplane.errors import Conflict, InvalidInput
from opsplane.telemetry import Health
from opsplane.web import Caller, Page, TokenIssuer, Verifier, create_app, event_stream, requires


class Order(msgspec.Struct):
    quantity: int


@get("/who")
async def who(identity: Caller) -> dict[str, Any]:
    return {"sub": identity.sub, "roles": sorted(identity.roles)}


@get("/staff", guards=[requires("operations_staff")])
async def staff() -> str:
    return "in"


@get("/orders/{name:str}")
async def order(name: FromPath[str], q: FromQuery[str | None] = None) -> str:
    return f"{name} {q}"


@delete("/orders/{name:str}")
async def forget(name: FromPath[str]) -> None:
    """Nothing to do."""


@post("/orders")
async def place(data: JSONBody[Order]) -> None:
    raise Conflict("There is one already.", remedy="Cancel it first.")


@get("/crash")
async def crash() -> None:
    raise ZeroDivisionError("secret detail")


@get("/ticks")
async def ticks() -> Any:
    async def events() -> AsyncIterator[tuple[str, Any]]:
        for number in range(3):
            await asyncio.sleep(0.02)
            yield "tick", {"number": number}

    return event_stream(events(), keep_alive=0.005)


class Platform:
    def __init__(self, directory: Path) -> None:
        ensure_keys(directory)
        self.private, self.jwks = directory / "issuer.pem", directory / "jwks.json"
        self.issuer = TokenIssuer(self.private, self.jwks, "opsplane", "opsplane")
        self.health = Health()
        verifier = Verifier(self.jwks, "opsplane", "opsplane")
        handlers = [who, staff, order, forget, place, crash, ticks]
        self.client = AsyncTestClient(
            create_app("planted", handlers, verifier=verifier, health=self.health),
            raise_server_exceptions=False,
        )

    async def who(self, token: str) -> int:
        return (await self.client.get("/who", headers={"Authorization": f"Bearer {token}"})).status_code


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    platform = Platform(tmp_path)
    async with platform.client:
        yield platform


async def test_valid_token_gives_the_identity(platform: Platform) -> None:
    token = platform.issuer.issue("alice", ["customer"])
    answer = await platform.client.get("/who", headers={"Authorization": f"Bearer {token}"})
    assert answer.json() == {"sub": "alice", "roles": ["customer"]}


async def test_tokens_that_do_not_hold_are_refused(platform: Platform, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    ensure_keys(other)
    foreign = TokenIssuer(other / "issuer.pem", other / "jwks.json", "opsplane", "opsplane")
    key = RSAKey.import_key(platform.private.read_text())
    kid = json.loads(platform.jwks.read_text())["keys"][0]["kid"]
    good = {"iss": "opsplane", "aud": "opsplane", "sub": "mallory", "exp": int(time.time()) + 60}

    def signed(**changes: Any) -> str:
        claims = {name: value for name, value in (good | changes).items() if value is not None}
        return jwt.encode({"alg": "RS256", "kid": kid}, claims, key)

    public = OctKey.import_key(platform.jwks.read_bytes())
    none = ".".join(["eyJhbGciOiJub25lIn0", signed().split(".")[1], ""])
    assert await platform.who(signed()) == 200  # the control
    for token in (
        foreign.issue("mallory", ["admin"]),
        signed(exp=None),
        signed(exp=int(time.time()) - 60),
        signed(nbf=int(time.time()) + 600),
        signed(iss="elsewhere"),
        signed(aud="elsewhere"),
        signed(sub=None),
        jwt.encode({"alg": "HS256", "kid": kid}, good, public),
        none,
        "rubbish",
    ):
        assert await platform.who(token) == 401


async def test_roles_are_checked(platform: Platform) -> None:
    async def ask(*roles: str) -> int:
        token = platform.issuer.issue("alice", roles)
        return (await platform.client.get("/staff", headers={"Authorization": f"Bearer {token}"})).status_code

    assert [await ask("customer"), await ask("operations_staff"), await ask("admin")] == [403, 200, 200]
    assert (await platform.client.get("/staff")).status_code == 401


async def test_errors_are_problems(platform: Platform) -> None:
    conflict = await platform.client.post("/orders", json={"quantity": 1})
    assert conflict.status_code == 409
    assert conflict.headers["content-type"] == "application/problem+json"
    assert conflict.json()["detail"] == "There is one already."
    assert conflict.json()["remedy"] == "Cancel it first."
    unfit = await platform.client.post("/orders", json={"quantity": "many"})
    assert unfit.status_code == 400
    assert unfit.json()["violations"][0]["pointer"] == "/quantity"
    crashed = await platform.client.get("/crash")
    assert crashed.status_code == 500
    assert "secret detail" not in crashed.text
    assert (await platform.client.get("/nowhere")).status_code == 404


@pytest.mark.parametrize("address", ["/orders/a%00b", "/orders/a?q=%00", "/orders/a?unknown=b%00"])
async def test_an_address_with_a_nul_is_refused(platform: Platform, address: str) -> None:
    assert (await platform.client.get("/orders/a%200?q=0%200")).status_code == 200
    refused = await platform.client.get(address)
    assert refused.status_code == 400
    assert "NUL" in refused.json()["detail"]


async def test_the_methods_of_an_address_are_told(platform: Platform) -> None:
    wrong = await platform.client.put("/orders/a")
    asked = await platform.client.options("/orders/a")
    assert (wrong.status_code, asked.status_code) == (405, 204)
    for answer in (wrong, asked):
        assert set(answer.headers["allow"].split(", ")) == {"DELETE", "GET", "OPTIONS"}


def test_the_offset_of_any_page_is_a_number_of_the_database() -> None:
    assert Page(1_000_000, 500).offset < 2**31
    for number in (0, 1_000_001, 2**63):
        with pytest.raises(InvalidInput, match="page must be between 1 and 1000000"):
            Page(number)


@pytest.mark.parametrize("quantity", ["3", True, None, "true", 2.5])
async def test_a_value_of_another_type_is_refused_with_its_place(platform: Platform, quantity: Any) -> None:
    assert (await platform.client.post("/orders", json={"quantity": 3.0})).status_code == 409  # was taken
    refused = await platform.client.post("/orders", json={"quantity": quantity})
    assert refused.status_code == 400
    assert [violation["pointer"] for violation in refused.json()["violations"]] == ["/quantity"]


async def test_health_metrics_and_openapi(platform: Platform) -> None:
    assert (await platform.client.get("/health")).status_code == 200

    async def ill() -> None:
        raise ConnectionError("planted")

    platform.health.add("database", ill)
    ready = await platform.client.get("/health/ready")
    assert ready.status_code == 503
    assert ready.json()["checks"] == {"database": "ConnectionError: planted"}
    assert (await platform.client.get("/health/live")).status_code == 200
    assert b"process_cpu_seconds_total" in (await platform.client.get("/metrics")).content
    document = (await platform.client.get("/schema/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert "/who" in document["paths"]


async def test_event_stream_sends_events_and_comments(platform: Platform) -> None:
    text = (await platform.client.get("/ticks")).text
    assert text.count("event: tick") == 3
    assert 'data: {"number":2}' in text
    assert ": still here" in text
