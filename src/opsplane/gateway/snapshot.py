"""Everything Envoy is told at one time, and its name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from opsplane.gateway.files import ACCESS_LOG, CLUSTERS, KEYS, LISTENERS, ROUTES

Resources = list[dict[str, Any]]


class Place(msgspec.Struct, frozen=True):
    """Where this gateway runs: the directory Envoy reads, and the address it serves."""

    directory: Path
    address: str
    port: int

    @property
    def access_log(self) -> Path:
        """The file requests are logged to."""
        return self.directory / ACCESS_LOG


class Snapshot(msgspec.Struct, frozen=True):
    """The resources of one configuration, by kind."""

    clusters: Resources
    listeners: Resources
    routes: Resources
    keys: Resources

    @property
    def version(self) -> str:
        """A digest of everything in it: equal content has the equal version."""
        return digest([self.clusters, self.listeners, self.routes, self.keys])

    @property
    def parts(self) -> dict[str, Resources]:
        """The resources of each file."""
        return {CLUSTERS: self.clusters, KEYS: self.keys, ROUTES: self.routes, LISTENERS: self.listeners}


EMPTY = Snapshot([], [], [], [])


def digest(resources: Any) -> str:
    """The version of resources."""
    content = msgspec.json.encode(resources, order="deterministic")
    return hashlib.sha256(content).hexdigest()[:16]


def grown(old: Snapshot, new: Snapshot) -> tuple[Resources, Resources]:
    """Clusters and keys with which the routes of both snapshots work; where both have one, the new one's."""
    clusters = {one["name"]: one for one in [*old.clusters, *new.clusters]}
    before = {one["name"]: one for one in old.keys}
    keys = [_grown_keys(before.get(one["name"]), one) for one in new.keys]
    return list(clusters.values()), keys


def _grown_keys(old: Mapping[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    if old is None:
        return new
    before, after = old["typed_config"], new["typed_config"]
    merged = {name: {**before[name], **after[name]} for name in ("providers", "requirement_map")}
    return {**new, "typed_config": {**after, **merged}}
