"""From what we want to what Envoy is told: pure, so that golden pairs prove it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opsplane.gateway.document import GatewayConfig, Service
from opsplane.gateway.resolution import resolve
from opsplane.gateway.snapshot import Place, Snapshot
from opsplane.gateway.stages.clusters import cluster
from opsplane.gateway.stages.listener import listener
from opsplane.gateway.stages.policies.cors import NOWHERE
from opsplane.gateway.stages.policies.tokens import tokens_filter
from opsplane.gateway.stages.routes import route_table

Endpoints = Mapping[str, Sequence[tuple[str, int]]]


def translate(
    config: GatewayConfig, endpoints: Endpoints, jwks: Mapping[str, Mapping[str, Any]], place: Place
) -> Snapshot:
    """The Envoy resources of `config`.

    `endpoints` says where each service runs (a service's own `endpoints` win), `jwks` holds the public keys
    of each issuer by its name in the file. Raises `UnusableKeys` when an issuer has none that can be used.
    """
    routes = resolve(config)
    clusters = [
        cluster(name, config.services[name], endpoints.get(name, ()))
        for name in sorted({route.service for route in routes})
    ]
    if config.defaults.cors is not None:
        clusters.append(cluster(NOWHERE, Service(), ()))
    return Snapshot(
        clusters=clusters,
        listeners=[listener(config.listen, place)],
        routes=[route_table(config, routes)],
        keys=[tokens_filter(config.issuers, routes, jwks)],
    )
