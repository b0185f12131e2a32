"""The gateway: Envoy's configuration from `gateway.yaml`, and the edge's own pages."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from opsplane.app.composition import Composition, Part
from opsplane.app.roles import PLATFORM
from opsplane.edge import edge_handlers
from opsplane.gateway import GatewayDuty, Place, Publisher
from opsplane.telemetry import Health


async def part(composition: Composition) -> Part:
    """The part of the gateway."""
    gateway, envoy = composition.settings.gateway, composition.settings.engines.envoy
    directory, admin = Path(gateway.directory), Path(envoy.admin_socket)
    served = {
        **dict.fromkeys(PLATFORM, ()),
        **{s.name: s.resources for s in composition.services.values()},
    }
    addresses = {name: composition.settings.listen[name] for name in served}
    duty = GatewayDuty(
        Path(gateway.file),
        Publisher(directory, admin, Path(envoy.bin)),
        Place(directory, "127.0.0.1", envoy.port),
        services=served,
        endpoints={name: [(address.host, address.port)] for name, address in addresses.items()},
        jwks=Path(composition.settings.identity.jwks),
        admin_socket=admin,
        log_link=Path(composition.settings.state) / "logs" / "access.log",
    )
    health = Health()
    health.add("gateway", duty.check)
    upstreams = {name: address.url for name, address in addresses.items() if name != "gateway"}
    return Part("gateway", health, edge_handlers(upstreams, version=metadata.version("opsplane")), [duty])
