"""What is allowed in a `gateway.yaml` and yet probably not meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from opsplane.gateway.document import GatewayConfig
from opsplane.gateway.resolution import Resolved, resolve


class Finding(msgspec.Struct, frozen=True):
    """One finding: its kind (`duplicate`, `shadowed`, `unused`, `unlimited`), what it is about, and why."""

    kind: str
    subject: str
    message: str


def lint(config: GatewayConfig) -> list[Finding]:
    """Every finding, those about routes first."""
    routes = resolve(config)
    return [*_unreachable(routes), *_overridden(routes), *_unused(config), *_unlimited(routes)]


def _unreachable(routes: Sequence[Resolved]) -> Iterator[Finding]:
    for position, route in enumerate(routes):
        earlier = next((one for one in routes[:position] if _swallows(one, route)), None)
        if earlier is None:
            continue
        same = (earlier.kind, earlier.pattern) == (route.kind, route.pattern)
        if route.automatic and same:
            continue
        kind = "duplicate" if same else "shadowed"
        yield Finding(kind, route.name, f"Never reached: `{earlier.name}` takes every request it could.")


def _overridden(routes: Sequence[Resolved]) -> Iterator[Finding]:
    """Routes of equal rank whose conditions overlap: which of them takes a request is decided by their order."""
    for position, route in enumerate(routes):
        for other in routes[position + 1 :]:
            same = (route.kind, route.pattern) == (other.kind, other.pattern)
            tied = same and route.priority == other.priority and not _swallows(route, other)
            if tied and (not route.methods or not other.methods or set(route.methods) & set(other.methods)):
                message = (
                    f"Overlaps with `{other.name}`, which has as many conditions; the first in the file wins."
                )
                yield Finding("ambiguous", route.name, message)


def _swallows(earlier: Resolved, later: Resolved) -> bool:
    """Whether every request that `later` matches is matched by `earlier`, as far as patterns can be compared."""
    if earlier.methods and not (later.methods and set(later.methods) <= set(earlier.methods)):
        return False
    if not set(earlier.headers) <= set(later.headers) or not set(earlier.query) <= set(later.query):
        return False
    if (earlier.kind, earlier.pattern) == (later.kind, later.pattern):
        return True
    sample = later.pattern.replace("{", "").replace("}", "")
    if later.kind in ("exact", "template") and earlier.kind != "regex":
        return earlier.kind != "exact" and re.fullmatch(earlier.expression(), sample) is not None
    if later.kind == "prefix" and earlier.kind == "prefix":
        return sample.startswith(f"{earlier.pattern.rstrip('/')}/")
    return False


def _unused(config: GatewayConfig) -> Iterator[Finding]:
    routes = resolve(config)
    presets = {route.preset for route in config.routes} | {
        config.auto_routing.preset if config.auto_routing else None
    }
    for name in sorted(set(config.presets) - presets):
        yield Finding("unused", f"presets.{name}", "No route uses this preset.")
    for name in sorted(set(config.issuers) - {issuer for route in routes for issuer in route.issuers}):
        yield Finding("unused", f"issuers.{name}", "No route takes its tokens.")
    for name in sorted(set(config.services) - {route.service for route in routes}):
        yield Finding(
            "unused", f"services.{name}", "No route leads to it, so it cannot be reached from outside."
        )


def _unlimited(routes: Sequence[Resolved]) -> Iterator[Finding]:
    for route in routes:
        if route.limit_address is None and route.limit_user is None:
            yield Finding("unlimited", route.name, "Neither an address nor a user is limited.")
