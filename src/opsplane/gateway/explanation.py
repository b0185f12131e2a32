"""What the gateway would do with a request, worked out from its configuration without sending anything."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl

import msgspec

from opsplane.gateway.document import GatewayConfig
from opsplane.gateway.resolution import Resolved, resolve
from opsplane.gateway.stages.policies.limits import retry_after
from opsplane.gateway.stages.policies.paths import UNSAFE, case_guards

_UNRESERVED = re.compile(r"%(2[DdEe]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe])")
_ESCAPED_SLASH = re.compile(r"%(2[Ff]|5[Cc])")
_UNSAFE = re.compile(UNSAFE)


class Explanation(msgspec.Struct, frozen=True):
    """The answer: which status the gateway itself gives (None: the service answers), by which route, and why.

    `policies` are the steps the request meets, in order; `upstream` is what the service would see.
    """

    method: str
    path: str
    normalised: str
    route: str | None
    service: str | None
    status: int | None
    reason: str
    policies: list[str]
    upstream: dict[str, str]


def explain(
    config: GatewayConfig,
    method: str,
    path: str,
    roles: Collection[str] | None = None,
    *,
    sub: str = "someone",
    headers: Mapping[str, str] | None = None,
) -> Explanation:
    """What happens to a request; `roles` are those of its token, None when it has none."""
    target, _, query = path.partition("?")
    normalised = normalise(target)
    if normalised is None or _UNSAFE.fullmatch(normalised):
        reason = "The path has characters or escapes that are not accepted."
        return Explanation(method, path, normalised or target, None, None, 400, reason, [], {})
    routes = resolve(config)
    guarded = case_guards(routes)
    lowered = {name.lower(): value for name, value in (headers or {}).items()}
    for route in routes:
        if matches(route, method, normalised, query, lowered):
            return _met(route, config, _Request(method, path, normalised, roles, sub))
        if route.name in guarded and re.fullmatch(f"(?i:{route.expression()})", normalised):
            reason = f"It is route `{route.name}` in another case, which only that route may answer."
            return Explanation(method, path, normalised, f"{route.name}-case", None, 404, reason, [], {})
    reason = "No route matches, and what no route wants is not there."
    return Explanation(method, path, normalised, None, None, 404, reason, [], {})


def normalise(path: str) -> str | None:
    """The path as routes see it: dots resolved, then slashes merged; None when it is refused before."""
    if _ESCAPED_SLASH.search(path) or not path.startswith("/"):
        return None
    plain = _UNRESERVED.sub(lambda match: chr(int(match[1], 16)), path).replace("\\", "/")
    parts: list[str] = []
    for part in plain.split("/")[1:]:
        dots = part.partition(";")[0]  # Envoy takes `..;x` for `..`, as servlet containers do
        if dots == ".." and parts:
            parts.pop()
        elif dots not in (".", ".."):
            parts.append(part)
    ends = plain.endswith(("/.", "/.."))
    return re.sub("/+", "/", f"/{'/'.join(parts)}{'/' if ends else ''}")


def matches(route: Resolved, method: str, path: str, query: str, headers: Mapping[str, str]) -> bool:
    """Whether a request, its path normalised, meets every condition of a route."""
    if route.methods and method not in route.methods:
        return False
    if any(headers.get(name) != value for name, value in route.headers):
        return False
    given = dict(reversed(parse_qsl(query, keep_blank_values=True)))
    if any(given.get(name) != value for name, value in route.query):
        return False
    return re.fullmatch(route.expression(), path) is not None


class _Request(NamedTuple):
    method: str
    path: str
    normalised: str
    roles: Collection[str] | None
    sub: str


def _met(route: Resolved, config: GatewayConfig, request: _Request) -> Explanation:
    status, reason = _verdict(route, request.roles)
    return Explanation(
        method=request.method,
        path=request.path,
        normalised=request.normalised,
        route=route.name,
        service=route.service,
        status=status,
        reason=reason,
        policies=_steps(route, config),
        upstream=_seen(route, request) if status is None else {},
    )


def _verdict(route: Resolved, roles: Collection[str] | None) -> tuple[int | None, str]:
    if route.public:
        return None, "The route is public."
    if roles is None:
        return 401, f"It needs a token of {' or '.join(route.issuers)}."
    if route.roles and not set(route.roles) & set(roles):
        return 403, f"It needs one of the roles {', '.join(route.roles)}."
    return None, "The token's roles suffice." if route.roles else "Any verified caller may pass."


def _steps(route: Resolved, config: GatewayConfig) -> list[str]:
    steps = ["normalise the path, refuse unsafe ones", "remove every identity header the client sent"]
    if config.defaults.cors is not None:
        steps.append(f"CORS for {', '.join(config.defaults.cors.origins)}")
    if route.limit_address is not None:
        steps.append(_limit("address", route.limit_address.count, route.limit_address.seconds))
    if not route.public:
        steps.append(f"verify the token ({', '.join(route.issuers)}: RS256 or ES256, exp, nbf, aud)")
        steps.append(
            f"have one of the roles {', '.join(route.roles)}" if route.roles else "be a verified caller"
        )
    if route.limit_user is not None:
        steps.append(_limit("user", route.limit_user.count, route.limit_user.seconds))
        steps[-1] += f", Retry-After {retry_after(route.limit_user)}"
    timeout = f"{route.timeout:g} s" if route.timeout else "none (a stream)"
    steps.append(f"forward to {route.service}, timeout {timeout}, at most {route.retries} retries")
    return steps


def _limit(what: str, count: int, window: float) -> str:
    return f"at most {count} requests in {window:g} s of one {what}"


def _seen(route: Resolved, request: _Request) -> dict[str, str]:
    _, _, query = request.path.partition("?")
    target = f"{request.normalised}?{query}" if query else request.normalised
    seen = {":method": request.method, ":path": target, "x-request-id": "(a new one)"}
    if not route.public:
        roles = f",{','.join(sorted(request.roles or ()))},"
        seen |= {"x-user-id": request.sub, "x-user-roles": roles, "x-client-type": "cli"}
        seen["authorization"] = "Bearer (as sent)"
    return seen
