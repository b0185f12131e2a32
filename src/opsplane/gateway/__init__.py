"""The gateway: what the platform wants (`gateway.yaml`) → Envoy resources → proven snapshot → published."""

from __future__ import annotations

from opsplane.gateway.admin import Admin
from opsplane.gateway.bootstrap import bootstrap, write_empty
from opsplane.gateway.document import GatewayConfig
from opsplane.gateway.duty import GatewayDuty
from opsplane.gateway.explanation import explain
from opsplane.gateway.lint import lint
from opsplane.gateway.parsing import parse
from opsplane.gateway.publisher import PublicationFailed, Publisher
from opsplane.gateway.rejection import GatewayRejected
from opsplane.gateway.resolution import resolve
from opsplane.gateway.snapshot import Place, Snapshot
from opsplane.gateway.translator import translate
from opsplane.gateway.validation import SnapshotRejected

__all__ = [
    "Admin",
    "GatewayConfig",
    "GatewayDuty",
    "GatewayRejected",
    "Place",
    "PublicationFailed",
    "Publisher",
    "Snapshot",
    "SnapshotRejected",
    "bootstrap",
    "explain",
    "lint",
    "parse",
    "resolve",
    "translate",
    "write_empty",
]
