from __future__ import annotations

import importlib.resources

import pytest
from tests.unit.gateway.conftest import GATEWAY, SERVICES

from opsplane.gateway import GatewayRejected, explain, lint, parse, resolve

COMMERCE = {
    "gateway": (), "operations": (), "events": (), "customer": ("customers", "auth"), "catalog": ("products",),
    "order": ("orders",), "payment": ("payments",), "search": ("search",),
}  # fmt: skip

BROKEN = """\
issuers:
  opsplane: {issuer: opsplane, audiences: [opsplane]}
presets:
  known: {issuers: [opsplan]}
routes:
  - {name: a, prefix: /a, servce: catalog, public: true}
  - {name: b, prefix: /b, service: katalog, public: true}
  - {name: c, prefix: /c, service: catalog}
  - {name: b, path: /b, service: catalog, public: true, timeout: soon}
  - {name: d, path: /d, prefix: /d, service: catalog, preset: knwon}
  - {name: e, prefix: /e/, service: catalog, public: maybe, methods: [GTE]}
  - {name: f, prefix: /f, service: catalog, public: true, roles: [admin], limit_user: lots}
lisen: {}
"""


def _errors(text: str) -> list[tuple[int, str, str | None]]:
    with pytest.raises(GatewayRejected) as caught:
        parse(text, "gateway.yaml", services=SERVICES)
    return [(one.line, one.key, one.nearest) for one in caught.value.reasons]


def test_every_error_is_listed_at_once_with_its_place_and_what_was_meant():
    errors = _errors(BROKEN)
    for expected in [
        (4, "presets.known.issuers[0]", "opsplane"),
        (6, "routes[0].servce", "service"),
        (7, "routes[1].service", "catalog"),
        (8, "routes[2]", None),
        (7, "routes[1].name", None),
        (9, "routes[3].name", None),
        (9, "routes[3].timeout", None),
        (10, "routes[4].preset", "known"),
        (10, "routes[4]", None),
        (11, "routes[5].public", None),
        (11, "routes[5].methods[0]", "GET"),
        (11, "routes[5].prefix", None),
        (12, "routes[6].public", None),
        (12, "routes[6].limit_user", None),
        (13, "lisen", "listen"),
    ]:
        assert expected in errors, expected


def test_the_message_can_be_jumped_to():
    with pytest.raises(GatewayRejected) as caught:
        parse(BROKEN, "gateway.yaml", services=SERVICES)
    told = [violation["place"] for violation in caught.value.violations]
    assert "gateway.yaml:6:27" in told


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("routes: [", 1),
        ("a: 1\n b: 2\n", 2),
        ("a: \t1\n", 1),
        ("issuers: *gone\n", 1),
        ("", 1),
        ("- a\n", 1),
        ("7", 1),
    ],
)
def test_what_is_not_yaml_or_no_mapping_is_told_with_its_line(text, line):
    assert line in [found for found, _, _ in _errors(text)]


def test_a_key_given_twice_is_an_error():
    assert any("presets" in key for _, key, _ in _errors(GATEWAY + "presets: {}\n"))


def test_a_route_without_an_authentication_decision_is_an_error():
    changed = GATEWAY.replace(
        "prefix: /files/private, service: catalog, preset: known", "prefix: /files/private, service: catalog"
    )
    with pytest.raises(GatewayRejected) as caught:
        parse(changed, "gateway.yaml", services=SERVICES)
    assert "authentication" in caught.value.violations[0]["message"]


def test_exact_comes_before_template_before_longer_prefix_before_regex_before_auto_routing():
    text = """
issuers: {opsplane: {issuer: opsplane, audiences: [opsplane]}}
presets: {known: {issuers: [opsplane]}}
routes:
  - {name: pattern, regex: "/a/.*", service: catalog, public: true}
  - {name: short, prefix: /a, service: catalog, public: true}
  - {name: long, prefix: /a/b, service: catalog, public: true}
  - {name: template, template: "/a/{x}", service: catalog, public: true}
  - {name: exact, path: /a/b, service: catalog, public: true}
  - {name: exact-get, path: /a/b, methods: [GET], service: catalog, public: true}
auto_routing: {preset: known}
"""
    config = parse(text, "gateway.yaml", services=SERVICES)
    names = [route.name for route in resolve(config)]
    assert names == [
        "exact-get",
        "exact",
        "template",
        "long",
        "short",
        "pattern",
        "auto-orders",
        "auto-products",
    ] or (
        names[:6] == ["exact-get", "exact", "template", "long", "short", "pattern"]
        and set(names[6:]) == {"auto-orders", "auto-products"}
    )
    assert explain(config, "POST", "/a/b").route == "exact"
    assert explain(config, "GET", "/a/c").route == "template"
    assert explain(config, "GET", "/a/b/c").route == "long"


def test_auto_routing_leaves_alone_what_the_file_speaks_of():
    names = [route.name for route in resolve(parse(GATEWAY, "gateway.yaml", services=SERVICES))]
    assert "auto-orders" in names
    assert "auto-products" not in names


def test_lint_finds_what_is_never_reached_or_never_used():
    text = GATEWAY.replace(
        "routes:\n",
        "routes:\n"
        "  - {name: twin, prefix: /files, service: catalog, preset: open}\n"
        "  - {name: hidden, prefix: /files/hidden, methods: [GET], query: {a: b}, service: catalog, preset: open}\n"
        "  - {name: wide, prefix: /files/hidden, service: catalog, preset: open}\n",
        1,
    )
    text = text.replace("presets:\n", "presets:\n  idle: {public: true}\n", 1)
    found = {(one.kind, one.subject) for one in lint(parse(text, "gateway.yaml", services=SERVICES))}
    assert ("duplicate", "public-files") in found or ("duplicate", "twin") in found
    assert ("unused", "presets.idle") in found
    assert not {subject for kind, subject in found if kind == "shadowed"} & {"hidden", "wide"}


def test_the_reference_platforms_file_has_no_errors_and_no_findings():
    text = (importlib.resources.files("opsplane") / "commerce" / "gateway.yaml").read_text()
    config = parse(text, "gateway.yaml", services=COMMERCE)
    assert [one for one in lint(config) if one.kind != "unlimited"] == []
    open_to_all = {(route.pattern, route.methods) for route in resolve(config) if route.public}
    writing = {
        (pattern, methods)
        for pattern, methods in open_to_all
        if set(methods) - {"GET", "HEAD"} or not methods
    }
    assert {pattern for pattern, _ in writing} == {
        "/api/v1/auth/signup", "/api/v1/auth/login", "/api/v1/auth/refresh", "/api/v1/storage",
    }  # fmt: skip
    for method, path, roles, status in [
        ("GET", "/api/v1/products/1", None, None),
        ("POST", "/api/v1/products", None, 401),
        ("POST", "/api/v1/products", ("customer",), 403),
        ("POST", "/api/v1/products", ("catalog_staff",), None),
        ("GET", "/api/v1/customers", ("customer",), 403),
        ("GET", "/api/v1/customers/me", ("customer",), None),
        ("DELETE", "/api/v1/customers/1", ("admin",), 404),
        ("GET", "/api/v1/orders/1", ("customer",), None),
        ("GET", "/api/v1/orders/1", None, 401),
        ("GET", "/api/v1/admin/dlq/stats", ("customer",), 403),
        ("GET", "/api/v1/admin/dlq/stats", ("operations_staff",), None),
        ("POST", "/api/v1/events/a.b.c", ("operations_staff",), None),
        ("GET", "/api/v1/operations/tasks/1/stream", ("customer",), None),
        ("GET", "/metrics", None, 401),
        ("GET", "/health/ready", None, None),
    ]:
        assert explain(config, method, path, roles).status == status, (method, path, roles)
