"""What Envoy starts with: where it finds its files, its admin socket, and the limits it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opsplane.gateway.files import ACCESS_LOG, CLUSTERS, LISTENERS, write_resources
from opsplane.gateway.log_file import prepare_access_log

MAX_CONNECTIONS = 20_000
HEAP = 1024 * 1024 * 1024

RUNTIME: Mapping[str, Any] = {
    "re2.max_program_size.error_level": 4000,  # a revocation and role match in one expression is large
    "re2.max_program_size.warn_level": 3000,
}


def bootstrap(directory: Path, admin_socket: Path) -> dict[str, Any]:
    """The bootstrap of an Envoy that takes clusters and listeners from the files in `directory`.

    The files must exist before Envoy starts: `write_empty(directory)` makes them. The public port is opened
    by the listener the gateway publishes, so an Envoy with empty files serves its admin socket only.
    """
    return {
        "node": {"id": "opsplane-gateway", "cluster": "opsplane"},
        "admin": {"address": {"pipe": {"path": str(admin_socket), "mode": 0o600}}},
        "dynamic_resources": {
            "cds_config": file_source(directory / CLUSTERS),
            "lds_config": file_source(directory / LISTENERS),
        },
        "layered_runtime": {"layers": [{"name": "static", "static_layer": dict(RUNTIME)}]},
        "overload_manager": _overload(),
    }


def file_source(path: Path) -> dict[str, Any]:
    """A configuration source that reads `path` again whenever it is replaced by a rename."""
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def write_empty(directory: Path) -> None:
    """Make the files Envoy must find at its start, where there are none from an earlier run."""
    prepare_access_log(directory / ACCESS_LOG)
    for name in (CLUSTERS, LISTENERS):
        if not (directory / name).is_file():
            write_resources(directory / name, [], "empty")


def _overload() -> dict[str, Any]:
    """Refuse work before memory runs out: memory stays bounded, what is refused is told so with 503."""
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            _monitor("fixed_heap.v3.FixedHeapConfig", "fixed_heap", max_heap_size_bytes=HEAP),
            _monitor(
                "downstream_connections.v3.DownstreamConnectionsConfig",
                "global_downstream_max_connections",
                max_active_downstream_connections=MAX_CONNECTIONS,
            ),
        ],
        "actions": [
            _action("envoy.overload_actions.shrink_heap", 0.90),
            _action("envoy.overload_actions.stop_accepting_requests", 0.95),
            _action("envoy.overload_actions.stop_accepting_connections", 0.98),
        ],
    }


def _monitor(kind: str, name: str, **settings: int) -> dict[str, Any]:
    configured = {"@type": f"type.googleapis.com/envoy.extensions.resource_monitors.{kind}", **settings}
    return {"name": f"envoy.resource_monitors.{name}", "typed_config": configured}


def _action(name: str, at: float) -> dict[str, Any]:
    trigger = {"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": at}}
    return {"name": name, "triggers": [trigger]}
