"""The gateway: what the platform wants (`gateway.yaml`) → Envoy resources → proven snapshot → published."""

from __future__ import annotations

from opsplane.gateway.bootstrap import bootstrap, write_empty

__all__ = ["bootstrap", "write_empty"]
