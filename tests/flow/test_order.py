"""One order through the whole platform: sign-up, login, order, payment, CONFIRMED, stock, search; and its failures."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.flow.platform import TEA, Platform, eventually, started


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with started(tmp_path_factory.mktemp("order") / "state") as platform:
        yield platform


@pytest.fixture
def customer(platform: Platform) -> Iterator[httpx.Client]:
    """A client signed up and logged in as a new customer."""
    account = {
        "email": f"{secrets.token_hex(4)}@example.org",
        "password": "correct horse battery",
        "name": "Ån 安",
    }
    with httpx.Client(base_url=platform.url, timeout=10) as client:
        assert client.post("/api/v1/auth/signup", json=account).status_code == 201
        answer = client.post(
            "/api/v1/auth/login", json={name: account[name] for name in ("email", "password")}
        )
        client.headers["Authorization"] = f"Bearer {answer.json()['accessToken']}"
        yield client


@pytest.fixture
def product(platform: Platform) -> dict[str, Any]:
    """A product with five pieces that the order service has a price for."""
    staff = {"Authorization": f"Bearer {platform.token('admin')}"}
    new = TEA | {"sku": secrets.token_hex(6)}
    made: dict[str, Any] = httpx.post(f"{platform.url}/api/v1/products", json=new, headers=staff).json()
    eventually(lambda: hits(platform, made["sku"]))
    return made


def hits(platform: Platform, words: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{platform.url}/api/v1/search", params={"q": words})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def order(client: httpx.Client, product: dict[str, Any], quantity: int, key: str) -> httpx.Response:
    wanted = {"items": [{"productId": product["id"], "quantity": quantity}]}
    return client.post("/api/v1/orders", json=wanted, headers={"Idempotency-Key": key})


def settled(client: httpx.Client, order_id: str) -> str:
    def status() -> str | None:
        reached: str = client.get(f"/api/v1/orders/{order_id}").json()["status"]
        return reached if reached != "PENDING" else None

    found: str = eventually(status)
    return found


def test_an_order_is_paid_confirmed_and_takes_stock(
    platform: Platform, customer: httpx.Client, product: dict[str, Any]
) -> None:
    placed = eventually(
        lambda: taken if (taken := order(customer, product, 2, "one")).status_code == 201 else None
    )
    assert placed.json()["total"] == {"amount": "5.00", "currency": "EUR"}
    assert settled(customer, placed.json()["id"]) == "CONFIRMED"
    eventually(lambda: httpx.get(f"{platform.url}/api/v1/products/{product['id']}").json()["stock"] == 3)
    eventually(lambda: hits(platform, product["sku"])[0]["stock"] == 3)


def test_the_same_key_is_one_order(customer: httpx.Client, product: dict[str, Any]) -> None:
    first = eventually(
        lambda: taken if (taken := order(customer, product, 1, "same")).status_code == 201 else None
    )
    again = order(customer, product, 1, "same")
    assert again.json()["id"] == first.json()["id"]
    assert customer.get("/api/v1/orders").json()["total"] == 1


def test_an_order_for_more_than_there_is_is_cancelled_and_stock_stays(
    platform: Platform, customer: httpx.Client, product: dict[str, Any]
) -> None:
    placed = eventually(
        lambda: taken if (taken := order(customer, product, 6, "much")).status_code == 201 else None
    )

    def cancelled() -> bool:
        found: str = customer.get(f"/api/v1/orders/{placed.json()['id']}").json()["status"]
        return found == "CANCELLED"

    eventually(cancelled)
    assert httpx.get(f"{platform.url}/api/v1/products/{product['id']}").json()["stock"] == 5


def test_nobody_sees_anothers_order(
    platform: Platform, customer: httpx.Client, product: dict[str, Any]
) -> None:
    placed = eventually(
        lambda: taken if (taken := order(customer, product, 1, "mine")).status_code == 201 else None
    )
    other = {"Authorization": f"Bearer {platform.token('customer')}"}
    url = f"{platform.url}/api/v1/orders/{placed.json()['id']}"
    assert httpx.get(url, headers=other).status_code == 404
    assert httpx.get(url).status_code == 401
    assert customer.get(url).status_code == 200
