"""Postgres, Valkey and Envoy as child processes."""

from opsplane.embedded.postgres import Postgres, PostgresFailed
from opsplane.embedded.valkey import Valkey, ValkeyFailed

__all__ = ["Postgres", "PostgresFailed", "Valkey", "ValkeyFailed"]
