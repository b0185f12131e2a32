"""No spelling of a path reaches a protected route without a token, or a service under a path routes did not see."""

from __future__ import annotations

import itertools
import random
import re
from urllib.parse import unquote

import pytest
from tests.unit.gateway import raw
from tests.unit.gateway.conftest import GATEWAY

from opsplane.gateway import explain

PROTECTED = ("/api/v1/orders", "/api/v1/admin", "/files/private", "/api/v1/tasks")
TRICKS = [
    "/api/v1/products/..%2forders", "/api/v1/products/..%2Forders/1", "/api/v1/products/%2e%2e/orders",
    "/api/v1/products/.%2e/orders", "/api/v1/products/%2E./orders", "/api/v1/products/../orders",
    "//api//v1//orders", "/api/v1//orders", "/api/v1/products//../orders", "/api/v1/products;/../orders",
    "/api/v1/products/..;/orders", "/api/v1/orders;x=1", "/api/v1/orders;", "/api/v1/products\\..\\orders",
    "/api\\v1\\orders", "/api/v1/products/..%5corders", "/api/v1/products/%252e%252e/orders",
    "/api/v1/products/..%252forders", "/api/v1/products/%25%32%65%25%32%65/orders", "/files/%2e/private",
    "/files/./private", "/files/PRIVATE", "/files/Private/x", "/files/privat%65", "/files/privat%45", "/files//private",
    "/files/private%00", "/files/private%20", "/files/x/../private", "/files/x/..%3b/private", "/files/%ff/../private",
    "/API/V1/ORDERS", "/Api/v1/Admin", "/api/v1/products/../../v1/orders", "/files/.%00./private",
    "/files/private%2f", "/files%2fprivate", "/files/%70rivate", "/files/%50RIVATE", "/files/private/.", "/files/private/..;/", "/files/private/.;x=1/y", "/files/..;x=1/orders",
    "/files/%c0%ae%c0%ae/private", "/files/..%c0%af/private", "/files/private%09", "/files/private#x", "/files/private?",
    "/./files/private", "/files/private/%2e%2e/private", "/%66iles/private", "/files/x/%2e%2e%2fprivate",
]  # fmt: skip


def _reaches_protected(path: str) -> bool:
    """Whether a service would understand the path as a protected one, however leniently it reads paths."""
    for _ in range(3):
        path = unquote(path, errors="replace").replace("\\", "/")
    parts: list[str] = []
    for part in path.lower().split("?")[0].split("#")[0].split("/"):
        name = re.sub(r"[\x00-\x20]", "", part.split(";")[0])
        if name == ".." and parts:
            parts.pop()
        elif name not in ("", ".", ".."):
            parts.append(name)
    plain = "/" + "/".join(parts)
    return any(plain == one or plain.startswith(f"{one}/") for one in PROTECTED)


def _probe(envoy, upstream, path: str) -> int:
    before = len(upstream.requests)
    answer = raw.get(envoy.port, path.encode("utf-8", "surrogateescape"))
    arrived = [one["path"] for one in upstream.requests[before:]]
    assert not any(_reaches_protected(one) for one in arrived), (path, arrived)
    return raw.status(answer)


def test_the_control_reaches_what_it_may(envoy, upstream, bearer):
    token = f"Authorization: {bearer('customer')['Authorization']}".encode()
    assert raw.status(raw.get(envoy.port, b"/files/private/x", token)) == 200
    assert _reaches_protected(upstream.requests[-1]["path"])
    assert _probe(envoy, upstream, "/files/open") == 200
    assert _probe(envoy, upstream, "/files/open%20name") == 200
    assert _probe(envoy, upstream, "/files/%C3%A9t%C3%A9") == 200


@pytest.mark.parametrize("path", TRICKS)
def test_tricks_reach_nothing_protected(envoy, upstream, path):
    assert _probe(envoy, upstream, path) in (200, 400, 401, 404)


def test_thousands_of_mutations_reach_nothing_protected(envoy, upstream):
    chance = random.Random(20261124)
    separators = [
        "/",
        "//",
        "\\",
        "/./",
        "%2f",
        "%5c",
        "/%2e/",
        "/x/../",
        "/x/%2e%2e/",
        "/;/",
        "/x/..;/",
        "%252f",
        "/%2e%2e/",
    ]
    encode = [
        str, str, str, str.upper, str.title,
        lambda one: "".join(f"%{ord(c):02x}" for c in one), lambda one: "".join(f"%25{ord(c):02x}" for c in one),
        lambda one: one + ";v=1", lambda one: one + "%00", lambda one: one + ".", lambda one: one[:-1] + f"%{ord(one[-1]):02X}",
    ]  # fmt: skip
    prefixes = ["", "/files", "/api/v1/products", "/files/a/..", "/.", "/%2e"]
    reached: dict[int, int] = {}
    for _ in range(3000):
        parts = chance.choice(PROTECTED).strip("/").split("/")
        path = chance.choice(prefixes) + "".join(
            chance.choice(separators) + chance.choice(encode)(part) for part in parts
        )
        code = _probe(envoy, upstream, path + chance.choice(["", "/", "/1", "?x=/files", "%20", "/..%2f"]))
        reached[code] = reached.get(code, 0) + 1
    assert reached.get(200, 0) > 0, "no mutation was accepted: the check would be vacuous"
    assert reached.get(401, 0) > 0, "no mutation met a protected route: the check would be vacuous"
    assert not set(reached) - {200, 400, 401, 404}, reached


def test_the_check_sees_a_route_left_open(fresh_envoy, upstream):
    """The planted defect: were the private files public, the same probe would complain."""
    open_files = GATEWAY.replace(
        "prefix: /files/private, service: catalog, preset: known",
        "prefix: /files/private, service: catalog, public: true",
    )
    assert open_files != GATEWAY
    fresh_envoy.publish(open_files)
    with pytest.raises(AssertionError):
        _probe(fresh_envoy, upstream, "/files/x/../private")


def test_what_is_explained_is_what_happens(envoy, upstream, bearer):
    """`route test` and Envoy agree, over paths, methods and roles."""
    paths = [
        *TRICKS,
        "/",
        "/files",
        "/files/a",
        "/files/private",
        "/api/v1/products",
        "/api/v1/orders/1",
        "/api/v1/admin/x",
        "/none",
    ]
    config = envoy.config()
    for path, roles in itertools.product(paths, (None, ("customer",), ("admin",))):
        if "#" in path:
            continue
        told = explain(config, "GET", path, roles, sub="alice")
        headers = [] if roles is None else [f"Authorization: {bearer(*roles)['Authorization']}".encode()]
        before = len(upstream.requests)
        status = raw.status(raw.get(envoy.port, path.encode(), *headers))
        assert status == (told.status or 200), (path, roles, told)
        if told.status is None:
            assert upstream.requests[before]["path"] == told.upstream[":path"].split("?")[0]
