"""The static twin: the same configuration in one file, so that Envoy itself says whether it holds together."""

from __future__ import annotations

from typing import Any

from opsplane.gateway.bootstrap import RUNTIME
from opsplane.gateway.snapshot import Snapshot


def static_twin(snapshot: Snapshot) -> dict[str, Any]:
    """A bootstrap that means what `snapshot` means, with nothing left to be fetched and nothing written.

    Envoy accepts from files what it refuses here: routes to unknown clusters, for one.
    """
    return {
        "node": {"id": "opsplane-validation", "cluster": "opsplane"},
        "layered_runtime": {"layers": [{"name": "static", "static_layer": dict(RUNTIME)}]},
        "static_resources": {
            "clusters": [_plain(cluster) for cluster in snapshot.clusters],
            "listeners": [_listener(one, snapshot) for one in snapshot.listeners],
        },
    }


def _listener(listener: dict[str, Any], snapshot: Snapshot) -> dict[str, Any]:
    chains = [
        {**chain, "filters": [_manager(one, snapshot) for one in chain["filters"]]}
        for chain in listener["filter_chains"]
    ]
    return {**_plain(listener), "filter_chains": chains}


def _manager(network_filter: dict[str, Any], snapshot: Snapshot) -> dict[str, Any]:
    manager = {name: value for name, value in network_filter["typed_config"].items() if name != "rds"}
    wanted = network_filter["typed_config"]["rds"]["route_config_name"]
    manager["route_config"] = next(_plain(table) for table in snapshot.routes if table["name"] == wanted)
    manager["http_filters"] = [_inline(one, snapshot) for one in manager["http_filters"]]
    manager["access_log"] = [_unwritten(log) for log in manager["access_log"]]
    return {**network_filter, "typed_config": manager}


def _inline(http_filter: dict[str, Any], snapshot: Snapshot) -> dict[str, Any]:
    if "config_discovery" not in http_filter:
        return http_filter
    settings = next(one["typed_config"] for one in snapshot.keys if one["name"] == http_filter["name"])
    return {
        **{key: value for key, value in http_filter.items() if key != "config_discovery"},
        "typed_config": settings,
    }


def _unwritten(log: dict[str, Any]) -> dict[str, Any]:
    return {**log, "typed_config": {**log["typed_config"], "path": "/dev/null"}}


def _plain(resource: dict[str, Any]) -> dict[str, Any]:
    """A resource without the type, which only discovery responses spell."""
    return {key: value for key, value in resource.items() if key != "@type"}
