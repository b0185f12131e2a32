"""The roles of an installation, the processes they share, and the files a new installation starts with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import metadata, resources

SERVICES = tuple(sorted(entry.name for entry in metadata.entry_points(group="opsplane.services")))
PROCESSES: Mapping[str, tuple[str, ...]] = {
    "platform": ("gateway", "operations", "events"),
    "worker": ("worker",),
    "commerce": SERVICES,
}
PLATFORM = (*PROCESSES["platform"], *PROCESSES["worker"])
_ROUTE_TO = re.compile(r"\s*- \{.*\bservice: (?P<service>[\w-]+)")


def default_gateway_yaml() -> str:
    """The reference `gateway.yaml`, without the routes to services that are not installed."""
    text = resources.files("opsplane.commerce").joinpath("gateway.yaml").read_text(encoding="utf-8")
    known = {*SERVICES, *PLATFORM}
    kept = []
    for line in text.splitlines(keepends=True):
        route = _ROUTE_TO.match(line)
        if route is None or route["service"] in known:
            kept.append(line)
    return "".join(kept)


def default_events_yaml() -> str:
    """The `events.yaml` a new installation starts with: the defaults, explained."""
    return resources.files("opsplane").joinpath("events", "events.yaml").read_text(encoding="utf-8")
