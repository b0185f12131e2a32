from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from joserfc.jwk import KeySet, RSAKey
from litestar import get

from opsplane.edge import edge_handlers
from opsplane.embedded.ports import free_ports
from opsplane.errors import Unavailable
from opsplane.resilience import Stop
from opsplane.telemetry import Health
from opsplane.web import Verifier, create_app, serve


class _Part:
    """A service that can be made unwell or slow."""

    def __init__(self) -> None:
        self.well = True
        self.delay = 0.0

    async def check(self) -> None:
        await asyncio.sleep(self.delay)
        if not self.well:
            raise Unavailable("not well")


@pytest.fixture
def verifier(tmp_path: Path) -> Verifier:
    key = RSAKey.generate_key(2048, {"alg": "RS256", "use": "sig"})
    (tmp_path / "jwks.json").write_text(json.dumps(KeySet([key]).as_dict(private=False)))
    return Verifier(tmp_path / "jwks.json", "opsplane", "opsplane")


@pytest.fixture
def part() -> _Part:
    return _Part()


@pytest_asyncio.fixture
async def client(verifier: Verifier, part: _Part) -> AsyncIterator[httpx.AsyncClient]:
    service_port, edge_port, nobody = free_ports(3)

    @get("/api/v1/things", summary="Every thing.")
    async def things() -> list[str]:
        return []

    health = Health(deadline=10)
    health.add("part", part.check)
    app = create_app("things", [things], verifier=verifier, health=health)
    urls = {"things": f"http://127.0.0.1:{service_port}", "gone": f"http://127.0.0.1:{nobody}"}
    edge = create_app("gateway", edge_handlers(urls, version="1.2.3"), verifier=verifier, health=Health())
    stop = Stop()
    serving = [
        asyncio.create_task(serve(app, "127.0.0.1", service_port, stop)),
        asyncio.create_task(serve(edge, "127.0.0.1", edge_port, stop)),
    ]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{edge_port}", timeout=10) as client:
        for _ in range(200):
            try:
                await client.get("/health/live")
                await client.get(f"{urls['things']}/health/live")
                break
            except httpx.ConnectError:
                await asyncio.sleep(0.02)
        yield client
    stop.set()
    await asyncio.gather(*serving)


async def test_information_leads_on(client):
    found = (await client.get("/")).json()
    assert found["version"] == "1.2.3"
    for link in ("documentation", "openapi", "health"):
        assert (await client.get(found["links"][link])).status_code == 200


async def test_health_of_all_services_is_partial_and_within_the_deadline(client, part):
    answer = await client.get("/api/services/health")
    assert answer.status_code == 503
    services = answer.json()["services"]
    assert services["things"]["status"] == "ok"
    assert services["gone"]["status"] == "unreachable"
    part.well = False
    assert (await client.get("/api/services/health")).json()["services"]["things"]["status"] == "unavailable"
    part.delay = 5.0
    found = (await client.get("/api/services/health")).json()["services"]["things"]
    assert found["status"] == "unreachable"
    assert found["milliseconds"] < 4500


async def test_openapi_of_each_service_is_passed_on(client):
    links = (await client.get("/swagger/links")).json()["services"]
    assert [link["name"] for link in links] == ["gone", "things"]
    document = (await client.get("/swagger/things")).json()
    assert document["paths"]["/api/v1/things"]["get"]["summary"] == "Every thing."
    assert document["servers"] == [{"url": "/"}]
    assert (await client.get("/swagger/nothing")).status_code == 404
    assert (await client.get("/swagger/gone")).status_code == 503


async def test_the_documentation_page_needs_nothing_from_elsewhere(client):
    page = await client.get("/docs")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    parts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert parts
    for path in parts:
        assert path.startswith("/docs/")
        answer = await client.get(path)
        assert answer.status_code == 200
        assert "innerHTML" not in answer.text
        assert "https://" not in answer.text
