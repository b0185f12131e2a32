"""The route table: refusals first, then every route in order of priority, then nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from opsplane.documents import Rate
from opsplane.gateway.document import GatewayConfig
from opsplane.gateway.resolution import SAFE_METHODS, Resolved
from opsplane.gateway.stages.policies.cors import CORS, cors_of, preflight_route
from opsplane.gateway.stages.policies.limits import (
    ADDRESS_LIMIT,
    USER_LIMIT,
    limit_of_address,
    limit_of_user,
    policy_header,
)
from opsplane.gateway.stages.policies.paths import case_guards, guards, nothing_else
from opsplane.gateway.stages.policies.roles import ROLES, roles_of
from opsplane.gateway.stages.policies.tokens import TOKENS, tokens_of
from opsplane.gateway.stages.typed import duration, matching, typed

NAME = "public"
NEVER_SENT = "connect-failure,refused-stream,reset-before-request"
READ_AGAIN = f"{NEVER_SENT},reset,gateway-error"


def route_table(config: GatewayConfig, routes: Sequence[Resolved]) -> dict[str, Any]:
    """The route configuration; what holds for all routes stands at its one virtual host."""
    defaults = config.defaults
    protected = case_guards(routes)
    entries = guards()
    if defaults.cors is not None:
        entries.append(preflight_route())
    for route in routes:
        entries += _entries(route, defaults.limit_address)
        if route.name in protected:
            entries.append(protected[route.name])
    entries.append(nothing_else())
    shared: dict[str, Any] = {}
    if defaults.limit_address is not None:
        shared[ADDRESS_LIMIT] = limit_of_address(defaults.limit_address, headers=True)
    if defaults.cors is not None:
        shared[CORS] = cors_of(defaults.cors)
    host = {"name": "all", "domains": ["*"], "routes": entries, "typed_per_filter_config": shared}
    return {
        **typed("config.route.v3.RouteConfiguration"),
        "name": NAME,
        "virtual_hosts": [host],
        "validate_clusters": True,
        "max_direct_response_body_size_bytes": 4096,
    }


def _entries(route: Resolved, shared_limit: Rate | None) -> Iterable[dict[str, Any]]:
    """Envoy's routes for one of ours: two where methods that may be repeated are retried more freely."""
    methods = set(route.methods)
    if not route.retries:
        return [_entry(route, route.methods, None, shared_limit)]
    if methods and methods <= SAFE_METHODS:
        return [_entry(route, route.methods, READ_AGAIN, shared_limit)]
    if methods and not methods & SAFE_METHODS:
        return [_entry(route, route.methods, NEVER_SENT, shared_limit)]
    safe = tuple(sorted(methods & SAFE_METHODS or SAFE_METHODS))
    rest = tuple(sorted(methods - SAFE_METHODS))
    return [
        _entry(route, safe, READ_AGAIN, shared_limit),
        _entry(route, rest, NEVER_SENT, shared_limit),
    ]


def _entry(
    route: Resolved, methods: tuple[str, ...], retry_on: str | None, shared_limit: Rate | None
) -> dict[str, Any]:
    action: dict[str, Any] = {"cluster": route.service, "timeout": duration(route.timeout)}
    if route.idle_timeout is not None:
        action["idle_timeout"] = duration(route.idle_timeout)
    if retry_on is not None:
        action["retry_policy"] = _retry(route, retry_on)
    entry: dict[str, Any] = {"name": route.name, "match": _match(route, methods), "route": action}
    policies = _policies(route, shared_limit)
    if policies:
        entry["typed_per_filter_config"] = policies
    offer = ("user", route.limit_user) if route.limit_user else ("address", route.limit_address)
    if offer[1] is not None:
        entry["response_headers_to_add"] = [policy_header(offer[0], offer[1])]
    return entry


def _match(route: Resolved, methods: tuple[str, ...]) -> dict[str, Any]:
    match: dict[str, Any] = _path(route)
    headers = [{"name": name, "string_match": {"exact": value}} for name, value in route.headers]
    if methods:
        one = {"exact": methods[0]} if len(methods) == 1 else matching("|".join(methods))
        headers.append({"name": ":method", "string_match": one})
    if headers:
        match["headers"] = headers
    if route.query:
        match["query_parameters"] = [
            {"name": name, "string_match": {"exact": value}} for name, value in route.query
        ]
    return match


def _path(route: Resolved) -> dict[str, Any]:
    if route.kind == "exact":
        return {"path": route.pattern}
    if route.kind == "prefix":
        return {"prefix": "/"} if route.pattern == "/" else {"path_separated_prefix": route.pattern}
    return matching(route.expression())


def _policies(route: Resolved, shared_limit: Rate | None) -> dict[str, Any]:
    """The policies this route names; the address limit of the virtual host holds where it says no other."""
    found: dict[str, Any] = {}
    if route.limit_address is not None and (route.limit_address != shared_limit or route.limit_user):
        found[ADDRESS_LIMIT] = limit_of_address(route.limit_address, headers=route.limit_user is None)
    if not route.public:
        found[TOKENS] = tokens_of(route.issuers)
        found[ROLES] = roles_of(route.roles)
    if route.limit_user is not None:
        found[USER_LIMIT] = limit_of_user(route.limit_user)
    return found


def _retry(route: Resolved, retry_on: str) -> dict[str, Any]:
    policy: dict[str, Any] = {
        "retry_on": retry_on,
        "num_retries": route.retries,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.250s"},
        "host_selection_retry_max_attempts": 3,
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": typed("extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
            }
        ],
    }
    if route.per_try_timeout is not None:
        policy["per_try_timeout"] = duration(route.per_try_timeout)
    return policy
