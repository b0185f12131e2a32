"""Envoy's admin interface on its unix socket: which configuration is live, and why one was refused."""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from opsplane.errors import Unavailable
from opsplane.gateway.files import CLUSTERS, KEYS, LISTENERS, ROUTES

# The prefix of the statistics about each file.
SUBSCRIPTIONS = {
    CLUSTERS: "cluster_manager.cds",
    KEYS: "extension_config_discovery.http_filter.opsplane.tokens",
    ROUTES: "http.public.rds.public",
    LISTENERS: "listener_manager.lds",
}
_WANTED = (
    r"(cds|lds|rds\.public|opsplane\.tokens)\.(version_text|update_rejected|config_fail)$|\.warming_clusters$"
)


class EnvoyUnreachable(Unavailable):
    """Envoy does not answer on its admin socket."""


class Live:
    """What Envoy says of its configuration now."""

    def __init__(self, stats: dict[str, Any]) -> None:
        self._stats = stats

    def version(self, file: str) -> str | None:
        """The version of a file's resources that is in use."""
        found = self._stats.get(f"{SUBSCRIPTIONS[file]}.version_text")
        return str(found) if found else None

    def refusals(self, file: str) -> int:
        """How often Envoy refused that file since it started."""
        prefix = SUBSCRIPTIONS[file]
        return sum(int(self._stats.get(f"{prefix}.{name}", 0)) for name in ("update_rejected", "config_fail"))

    @property
    def warm(self) -> bool:
        """Whether every cluster is ready for traffic."""
        return int(self._stats.get("cluster_manager.warming_clusters", 0)) == 0


class Admin:
    """A client of the admin interface."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket)), base_url="http://envoy", timeout=5.0
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def live(self) -> Live:
        """The state of the four files; raises `EnvoyUnreachable`."""
        found = await self._json("/stats", {"format": "json", "filter": _WANTED})
        return Live({stat["name"]: stat["value"] for stat in found["stats"] if "name" in stat})

    async def stats(self, expression: str) -> dict[str, int]:
        """Counters and gauges whose names match."""
        found = await self._json("/stats", {"format": "json", "filter": expression})
        return {stat["name"]: int(stat["value"]) for stat in found["stats"] if _is_number(stat)}

    async def refusal(self) -> str:
        """What Envoy says about what it refused last."""
        dump = await self._json("/config_dump", {})
        told = [state["details"] for state in _error_states(dump) if "details" in state]
        return "; ".join(told) or "Envoy gave no reason."

    async def reopen_logs(self) -> None:
        """Have Envoy open its log files again, after they were moved away."""
        await self._ask("POST", "/reopen_logs", {})

    async def _json(self, path: str, query: dict[str, str]) -> Any:
        return (await self._ask("GET", path, query)).json()

    async def _ask(self, method: str, path: str, query: dict[str, str]) -> httpx.Response:
        try:
            answer = await self._client.request(method, path, params=query)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise EnvoyUnreachable(
                f"Envoy does not answer on {self._socket}: {type(error).__name__}.",
                remedy="See its log; `opsplane status` says whether it runs.",
            ) from error
        return answer


def _is_number(stat: dict[str, Any]) -> bool:
    return "name" in stat and re.fullmatch(r"\d+", str(stat["value"])) is not None


def _error_states(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, dict):
        own = [node["error_state"]] if isinstance(node.get("error_state"), dict) else []
        return own + [state for value in node.values() for state in _error_states(value)]
    if isinstance(node, list):
        return [state for value in node for state in _error_states(value)]
    return []
