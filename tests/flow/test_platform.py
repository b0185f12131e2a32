"""The whole platform, started as a user starts it: request → gateway → catalog → outbox → relay → stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from opsplane import embedded
from opsplane.embedded.ports import free_ports

TEA = {
    "sku": "tea-1", "name": "Tee – 茶 – شاي", "category": "food",
    "price": {"amount": "2.50", "currency": "EUR"}, "stock": 5,
}  # fmt: skip


class Platform:
    """A running installation and the command line that works on it."""

    def __init__(self, state: Path, port: int) -> None:
        self.state, self.url, self.port = state, f"http://127.0.0.1:{port}", port

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        finished = subprocess.run(
            [sys.executable, "-m", "opsplane", *arguments, "--state", str(self.state)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert not check or finished.returncode == 0, finished.stderr
        return finished

    def status(self) -> dict[str, dict[str, Any]]:
        services = json.loads(self.run("status", "-o", "json").stdout)["services"]
        return {service["name"]: service for service in services}

    def token(self, role: str) -> str:
        return self.run("token", "issue", "--role", role, "--sub", "alice").stdout.strip()

    def store(self) -> redis.Redis:
        document = json.loads((self.state / "installation.json").read_text())
        return redis.Redis.from_url(document["broker"]["admin"])


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    state = tmp_path_factory.mktemp("platform") / "state"
    platform = Platform(state, free_ports(1)[0])
    platform.run("up", "--detach", "--port", str(platform.port))
    yield platform
    platform.run("down")
    embedded.remove(state)


def eventually(question: Any, seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return answer


def test_every_engine_and_role_is_healthy(platform: Platform) -> None:
    health = {name: service["health"] for name, service in platform.status().items()}
    assert {"postgres", "valkey", "envoy", "gateway", "operations", "events", "catalog"} <= health.keys()
    assert set(health.values()) == {"healthy"}


def test_a_product_goes_from_request_to_stream(platform: Platform) -> None:
    staff = {"Authorization": f"Bearer {platform.token('admin')}"}
    made = httpx.post(f"{platform.url}/api/v1/products", json=TEA, headers=staff)
    assert made.status_code == 201, made.text
    shown = httpx.get(f"{platform.url}/api/v1/products/{made.json()['id']}")
    assert shown.json()["name"] == TEA["name"]
    with platform.store() as store:
        entries = eventually(lambda: store.xrange("catalog.product.created"))
    envelopes = [json.loads(fields[b"data"]) for _, fields in entries]
    (envelope,) = [found for found in envelopes if found["data"].get("sku") == TEA["sku"]]
    assert envelope["specversion"] == "1.0"
    assert envelope["sequence"] == "1"


def test_writing_needs_the_role(platform: Platform) -> None:
    customer = {"Authorization": f"Bearer {platform.token('customer')}"}
    assert httpx.post(f"{platform.url}/api/v1/products", json=TEA).status_code == 401
    assert httpx.post(f"{platform.url}/api/v1/products", json=TEA, headers=customer).status_code == 403
    assert httpx.get(f"{platform.url}/api/v1/nowhere").status_code == 404


def test_killed_relay_loses_nothing(platform: Platform) -> None:
    staff = {"Authorization": f"Bearer {platform.token('admin')}"}
    skus = [f"kill-{number}" for number in range(30)]
    for number, sku in enumerate(skus):
        eventually(
            lambda sku=sku: (
                httpx.post(
                    f"{platform.url}/api/v1/products", json=TEA | {"sku": sku}, headers=staff
                ).status_code
                in (201, 409)
            )
        )
        if number in (10, 20):
            os.kill(platform.status()["catalog"]["pid"], 9)
    with platform.store() as store:

        def published() -> bool:
            found = {
                json.loads(fields[b"data"])["data"].get("sku")
                for _, fields in store.xrange("catalog.product.created")
            }
            return found >= set(skus)

        eventually(published, 30)


def test_data_is_kept_over_a_restart(platform: Platform) -> None:
    before = httpx.get(f"{platform.url}/api/v1/products").json()["total"]
    platform.run("down")
    platform.run("up", "--detach")
    assert httpx.get(f"{platform.url}/api/v1/products").json()["total"] == before > 0


def test_unknown_role_is_named(platform: Platform) -> None:
    answer = platform.run("run", "gatway", check=False)
    assert answer.returncode == 1
    assert "There is no role gatway" in answer.stderr
