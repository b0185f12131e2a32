"""What a client says about who it is never reaches a service."""

from __future__ import annotations

import copy

import httpx
import pytest
from tests.unit.gateway import raw

FORGED = [
    b"X-User-ID: admin", b"x-user-id: admin", b"X-USER-ID: admin", b"X-User-Id: admin", b"x-User-Roles: admin",
    b"X-User-Roles: ,admin,", b"X-User-Email: a@b", b"X-Admin-Override: 1", b"X-ADMIN: 1", b"X-Admin-Id: 1",
    b"X-Client-Type: internal", b"x-user-: 1", b"X-Request-ID: mine", b"X-Forwarded-For: 10.0.0.1",
    b"X-Forwarded-User: admin", b"X-Real-IP: 10.0.0.1", b"Forwarded: for=10.0.0.1", b"X-Original-URL: /api/v1/admin",
    b"X-Rewrite-URL: /api/v1/admin", b"X-HTTP-Method-Override: DELETE", b"X-Envoy-Original-Path: /admin",
]  # fmt: skip
TARGETS = [b"/api/v1/products", b"/api/v1/orders"]


def _seen(upstream, answer: bytes) -> dict[str, list[str]]:
    assert raw.status(answer) == 200, answer
    found: dict[str, list[str]] = {}
    for name, value in upstream.requests[-1]["headers"]:
        found.setdefault(name.replace("_", "-"), []).append(value)
    return found


def _spoofed(seen: dict[str, list[str]], name: str, value: str) -> bool:
    return any(value in one for one in seen.get(name, []))


@pytest.mark.parametrize("line", FORGED, ids=lambda line: line.decode())
def test_forged_headers_are_removed(envoy, upstream, bearer, line):
    name, _, value = line.decode().partition(": ")
    token = f"Authorization: {bearer('customer')['Authorization']}".encode()
    for target in TARGETS:
        seen = _seen(upstream, raw.get(envoy.port, target, token, line, line))
        assert not _spoofed(seen, name.lower(), value), seen
        if target == b"/api/v1/orders":
            assert seen["x-user-id"] == ["alice"]
            assert seen["x-user-roles"] == [",customer,"]
        else:
            assert "x-user-id" not in seen


def test_underscores_for_hyphens_are_refused(envoy, upstream, bearer):
    token = f"Authorization: {bearer('customer')['Authorization']}".encode()
    for line in (
        b"X_User_ID: admin",
        b"x_user_roles: admin",
        b"X-User_ID: admin",
        b"x_client_type: internal",
    ):
        before = len(upstream.requests)
        assert raw.status(raw.get(envoy.port, b"/api/v1/orders", token, line)) == 400
        assert len(upstream.requests) == before


def test_a_header_named_in_connection_is_still_set_for_the_service(envoy, upstream, bearer):
    token = f"Authorization: {bearer('customer')['Authorization']}".encode()
    for listed in (b"X-User-ID", b"x-user-id, x-user-roles, authorization", b"close, X-User-Roles"):
        answer = raw.get(envoy.port, b"/api/v1/orders", token, b"Connection: " + listed)
        if raw.status(answer) == 200:
            seen = _seen(upstream, answer)
            assert seen["x-user-id"] == ["alice"]
            assert seen["x-user-roles"] == [",customer,"]
        else:
            assert raw.status(answer) in (400, 401)


def test_smuggled_and_doubled_framing_reaches_no_service(envoy, upstream):
    inner = b"GET /api/v1/orders HTTP/1.1\r\nHost: x\r\nX-User-ID: admin\r\n\r\n"
    bodies = [
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + inner,
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + inner,
        b"Host: second.example\r\nContent-Length: 0\r\n\r\n",
    ]
    for body in bodies:
        before = len(upstream.requests)
        answer = raw.send(envoy.port, b"POST /api/v1/products HTTP/1.1\r\nHost: gateway.example\r\n" + body)
        assert raw.status(answer) in (0, 400, 401, 501), (body, answer)
        assert not any(one["path"] == "/api/v1/orders" for one in upstream.requests[before:])


def test_the_test_sees_a_gateway_that_does_not_strip(fresh_envoy, upstream):
    """The planted defect: without the strip the same check fails."""
    snapshot = copy.deepcopy(fresh_envoy.snapshot())
    manager = snapshot.listeners[0]["filter_chains"][0]["filters"][0]["typed_config"]
    del manager["early_header_mutation_extensions"]
    fresh_envoy.publish_snapshot(snapshot)
    with httpx.Client(base_url=fresh_envoy.url) as client:
        assert client.get("/api/v1/products").status_code == 200
    answer = raw.get(fresh_envoy.port, b"/api/v1/products", b"X-User-ID: admin")
    assert _spoofed(_seen(upstream, answer), "x-user-id", "admin")
