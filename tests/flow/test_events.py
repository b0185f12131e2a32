"""Events as staff works with them through the gateway: publishing, refusals, dead letters and their replay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.flow.platform import Platform, eventually, started

TOPIC = "pricing.price.updated"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with started(tmp_path_factory.mktemp("events") / "state") as platform:
        yield platform


@pytest.fixture
def staff(platform: Platform) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {platform.token('operations_staff')}"}
    with httpx.Client(base_url=platform.url, headers=headers, timeout=10) as client:
        yield client


def test_invalid_event_is_refused_with_every_violation(platform: Platform, staff: httpx.Client) -> None:
    answer = staff.post(f"/api/v1/events/{TOPIC}", json={"sku": 5})
    assert answer.status_code == 400
    pointers = {violation["pointer"] for violation in answer.json()["violations"]}
    assert {"/sku", "/productId", "/price"} <= pointers
    with platform.store() as store:
        assert store.xlen(TOPIC) == 0


def test_forced_onto_the_stream_it_becomes_a_dead_letter_with_its_reason(
    platform: Platform, staff: httpx.Client
) -> None:
    envelope = {
        "specversion": "1.0", "id": "forced-1", "source": "test", "type": TOPIC, "topic": TOPIC,
        "datacontenttype": "application/json", "data": {"sku": 5},
    }  # fmt: skip
    with platform.store() as store:
        store.xadd(TOPIC, {"data": json.dumps(envelope)})

    def letters() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = staff.get("/api/v1/admin/dlq/failed-events").json()["data"]
        return [letter for letter in found if letter["topic"] == TOPIC]

    found = eventually(letters)
    assert "violation" in found[0]["errorMessage"]
    assert staff.get("/api/v1/admin/dlq/stats").json()["data"][TOPIC]["count"] >= 1
    with platform.store() as store:
        assert store.xlen(f"{TOPIC}.dlq") >= 1


def test_dead_letters_are_for_staff_only(platform: Platform) -> None:
    assert httpx.get(f"{platform.url}/api/v1/admin/dlq/stats").status_code == 401
    customer = {"Authorization": f"Bearer {platform.token('customer')}"}
    assert httpx.get(f"{platform.url}/api/v1/admin/dlq/stats", headers=customer).status_code == 403
