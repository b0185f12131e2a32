"""Postgres, Valkey and Envoy as child processes, and the supervisor that runs an installation."""

from __future__ import annotations

from opsplane.embedded.child import Child, Command, last_lines
from opsplane.embedded.postgres import Postgres, PostgresFailed
from opsplane.embedded.process import Process
from opsplane.embedded.supervisor import StartFailed, Supervisor
from opsplane.embedded.valkey import Valkey, ValkeyFailed

__all__ = [
    "Child",
    "Command",
    "Postgres",
    "PostgresFailed",
    "Process",
    "StartFailed",
    "Supervisor",
    "Valkey",
    "ValkeyFailed",
    "last_lines",
]
