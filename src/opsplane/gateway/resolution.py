"""Routes with every choice made: preset and defaults applied, auto-routing spelled out, in order of priority."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from opsplane.documents import Rate
from opsplane.gateway.document import Defaults, GatewayConfig, Policies, Preset, Route

Kind = Literal["exact", "template", "prefix", "regex"]
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
STREAM_IDLE = 60.0  # event streams send a comment at least every 15 s
_PARAMETER = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A route as requests meet it; `timeout` 0 means none. `priority` sorts routes, first match wins."""

    name: str
    service: str
    kind: Kind
    pattern: str
    methods: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    query: tuple[tuple[str, str], ...]
    issuers: tuple[str, ...]
    roles: tuple[str, ...]
    limit_address: Rate | None
    limit_user: Rate | None
    timeout: float
    per_try_timeout: float | None
    idle_timeout: float | None
    retries: int
    automatic: bool = False

    @property
    def public(self) -> bool:
        """Whether anybody may call it."""
        return not self.issuers

    @property
    def priority(self) -> tuple[object, ...]:
        """Exact before template before longer prefix before regex; auto-routing last; narrower matches first."""
        rank = {"exact": 0, "template": 1, "prefix": 2, "regex": 3}[self.kind]
        literal = len(_PARAMETER.sub("", self.pattern))
        conditions = len(self.headers) + len(self.query) + bool(self.methods)
        return (self.automatic, rank, -literal if self.kind != "regex" else 0, -conditions)

    def expression(self) -> str:
        """The whole paths it matches, as a regular expression that Python and RE2 read alike."""
        if self.kind == "regex":
            return self.pattern
        if self.kind == "template":
            literals = [re.escape(part) for part in _PARAMETER.split(self.pattern)]
            return "[^/]+".join(literals)
        escaped = re.escape(self.pattern.rstrip("/"))
        return re.escape(self.pattern) if self.kind == "exact" else f"{escaped}(?:/.*)?"


def resolve(config: GatewayConfig) -> tuple[Resolved, ...]:
    """Every route of the gateway in the order requests are matched with them."""
    routes = [_explicit(config, route) for route in config.routes]
    auto = config.auto_routing
    if auto is not None:
        preset = config.presets[auto.preset]
        for resource, service in sorted(config.resources.items()):
            pattern = f"{auto.prefix.rstrip('/')}/{resource}"
            if resource not in auto.except_resources and not _spoken_for(pattern, routes):
                route = Route(name=f"auto-{resource}", service=service, prefix=pattern)
                routes.append(_resolved(route, [preset], config.defaults, automatic=True))
    return tuple(sorted(routes, key=lambda route: route.priority))


def way(route: Route) -> tuple[Kind, str]:
    """How a route matches the path, and the pattern."""
    if route.path is not None:
        return "exact", route.path
    if route.template is not None:
        return "template", route.template
    if route.prefix is not None:
        return "prefix", route.prefix
    return "regex", route.regex or ""


def decided(route: Route, preset: Preset | None) -> tuple[bool | None, tuple[str, ...] | None]:
    """Whether the route is public and whose tokens it takes, as far as the file says; its own word wins."""
    own = [route, *([preset] if preset else [])]
    for source in own:
        if source.public is not None or source.issuers is not None:
            return source.public, source.issuers
    return None, None


def _spoken_for(pattern: str, routes: list[Resolved]) -> bool:
    """Whether a route of the file is about this resource: then the file says all there is to it."""
    return any(f"{route.pattern}/".startswith(f"{pattern}/") for route in routes if not route.automatic)


def _explicit(config: GatewayConfig, route: Route) -> Resolved:
    preset = config.presets[route.preset] if route.preset else None
    return _resolved(route, [preset] if preset else [], config.defaults)


def _resolved(
    route: Route, presets: list[Preset], defaults: Defaults, *, automatic: bool = False
) -> Resolved:
    sources: list[Policies] = [route, *presets]
    kind, pattern = way(route)
    public, issuers = decided(route, presets[0] if presets else None)
    stream = bool(_first(sources, "stream"))
    timeout = _first(sources, "timeout") or defaults.timeout
    per_try = _first(sources, "per_try_timeout") or defaults.per_try_timeout
    retries = _first(sources, "retries")
    return Resolved(
        name=route.name,
        service=route.service,
        kind=kind,
        pattern=pattern,
        methods=tuple(sorted(set(route.methods))),
        headers=tuple(sorted(route.headers.items())),
        query=tuple(sorted(route.query.items())),
        issuers=() if public else tuple(sorted(set(issuers or ()))),
        roles=() if public else tuple(sorted(set(_first(sources, "roles") or ()))),
        limit_address=_first(sources, "limit_address") or defaults.limit_address,
        limit_user=None if public else _first(sources, "limit_user"),
        timeout=0.0 if stream else float(timeout),
        per_try_timeout=None if stream or per_try is None else float(per_try),
        idle_timeout=STREAM_IDLE if stream else None,
        retries=0 if stream else defaults.retries if retries is None else retries,
        automatic=automatic,
    )


def _first(sources: list[Policies], name: str) -> Any:
    return next((value for one in sources if (value := getattr(one, name)) is not None), None)
