"""Customers sign up and in; refresh tokens serve once; nothing secret is kept or told."""

from __future__ import annotations

from typing import Any

import pytest

from opsplane.commerce.customer import service
from opsplane.commerce.customer.passwords import Passwords

ANNA = {"email": "Anna@Example.org", "password": "correct horse", "name": "Анна Ångström"}


@pytest.fixture
async def customer(serve: Any) -> Any:
    return await serve(service)


async def signed_up(customer: Any, **changes: Any) -> dict[str, Any]:
    answer = await customer.client.post("/api/v1/auth/signup", json=ANNA | changes)
    assert answer.status_code == 201, answer.text
    return answer.json()


def bearer(session: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {session['accessToken']}"}


async def refreshed(customer: Any, session: dict[str, Any]) -> Any:
    return await customer.client.post("/api/v1/auth/refresh", json={"refreshToken": session["refreshToken"]})


async def test_signing_up_and_in(customer: Any) -> None:
    session = await signed_up(customer)
    me = (await customer.client.get("/api/v1/customers/me", headers=bearer(session))).json()
    assert (me["email"], me["name"], me["roles"]) == ("anna@example.org", "Анна Ångström", ["customer"])
    login = {"email": "ANNA@example.org", "password": ANNA["password"]}
    again = await customer.client.post("/api/v1/auth/login", json=login)
    assert again.status_code == 200
    identity = customer.runtime.verifier.verify(again.json()["accessToken"])
    assert (identity.sub, identity.roles) == (me["id"], frozenset({"customer"}))


async def test_wrong_password_and_unknown_address_answer_alike(customer: Any) -> None:
    await signed_up(customer)
    wrong = await customer.client.post(
        "/api/v1/auth/login", json={"email": "anna@example.org", "password": "wrong"}
    )
    unknown = await customer.client.post(
        "/api/v1/auth/login", json={"email": "bob@example.org", "password": "wrong"}
    )
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()


async def test_address_is_taken_once(customer: Any) -> None:
    await signed_up(customer)
    again = await customer.client.post("/api/v1/auth/signup", json=ANNA | {"email": "anna@EXAMPLE.org"})
    assert again.status_code == 409
    assert await customer.topics() == ["customers.customer.created"]


@pytest.mark.parametrize(
    "wrong",
    [{"email": "nobody"}, {"password": "short"}, {"name": " "}, {"roles": ["admin"]}, {"phone": "call me"}],
)
async def test_bad_sign_ups_are_refused(customer: Any, wrong: dict[str, Any]) -> None:
    assert (await customer.client.post("/api/v1/auth/signup", json=ANNA | wrong)).status_code == 400


async def test_refresh_tokens_serve_once_and_a_copy_ends_the_session(customer: Any) -> None:
    first = await signed_up(customer)
    second = (await refreshed(customer, first)).json()
    assert second["refreshToken"] != first["refreshToken"]
    assert (await refreshed(customer, first)).status_code == 401  # used before: somebody copied it
    assert (await refreshed(customer, second)).status_code == 401  # so the session ended for all


async def test_refresh_tokens_expire(customer: Any) -> None:
    session = await signed_up(customer)
    await customer.clock.advance(29 * 86400)
    session = (await refreshed(customer, session)).json()
    await customer.clock.advance(31 * 86400)
    assert (await refreshed(customer, session)).status_code == 401


async def test_logout_ends_the_session_and_no_other(customer: Any) -> None:
    session = await signed_up(customer)
    login = {"email": "anna@example.org", "password": ANNA["password"]}
    other = (await customer.client.post("/api/v1/auth/login", json=login)).json()
    out = {"refreshToken": session["refreshToken"]}
    assert (await customer.client.post("/api/v1/auth/logout", json=out)).status_code == 401
    assert (
        await customer.client.post("/api/v1/auth/logout", json=out, headers=bearer(session))
    ).status_code == 204
    assert (await refreshed(customer, session)).status_code == 401
    assert (await refreshed(customer, other)).status_code == 200


async def test_customers_change_themselves_and_staff_lists_them(customer: Any) -> None:
    session = await signed_up(customer)
    await signed_up(customer, email="bob@example.org", name="Bob")
    changed = await customer.client.patch(
        "/api/v1/customers/me", json={"phone": "+49 30 1234"}, headers=bearer(session)
    )
    assert (changed.json()["phone"], changed.json()["name"]) == ("+49 30 1234", ANNA["name"])
    found = (await customer.client.get("/api/v1/customers?search=АННА", headers=customer.staff)).json()
    assert [row["email"] for row in found["data"]] == ["anna@example.org"]
    assert (await customer.client.get("/api/v1/customers", headers=customer.staff)).json()["total"] == 2
    assert (await customer.client.get("/api/v1/customers", headers=bearer(session))).status_code == 403
    assert (
        await customer.client.get("/api/v1/customers/me", headers=customer.token("robot"))
    ).status_code == 404


async def test_nothing_secret_is_kept_or_told(customer: Any) -> None:
    session = await signed_up(customer)
    rows = await customer.pool.fetch(
        "select c::text as kept from customer c union all select t::text from refresh_token t"
    )
    told = [str(event.data) for event in await customer.events()]
    everything = " ".join([*(row["kept"] for row in rows), *told])
    assert "$argon2id$" in everything
    for secret in (ANNA["password"], session["refreshToken"], session["accessToken"]):
        assert secret not in everything


async def test_checking_takes_a_password_even_for_nobody() -> None:
    passwords = Passwords()
    assert not await passwords.check(None, "the password of nobody")
    assert await passwords.check(await passwords.hash("päßwort 密码"), "päßwort 密码")
    assert not await passwords.check("not a hash", "x")
