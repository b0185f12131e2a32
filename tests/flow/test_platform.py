"""The whole platform, started as a user starts it: request → gateway → catalog → outbox → relay → stream."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import httpx
import pytest
from tests.flow.platform import TEA, Platform, eventually, started


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with started(tmp_path_factory.mktemp("platform") / "state") as platform:
        yield platform


def test_every_engine_and_role_is_healthy(platform: Platform) -> None:
    health = {name: service["health"] for name, service in platform.status().items()}
    assert {
        "postgres",
        "valkey",
        "envoy",
        "gateway",
        "operations",
        "events",
        "catalog",
        "search",
    } <= health.keys()
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
