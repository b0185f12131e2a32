"""Postgres, Valkey and Envoy as child processes, and the supervisor that runs an installation."""

from __future__ import annotations

from opsplane.embedded.account import unprivileged
from opsplane.embedded.binaries import BINARIES
from opsplane.embedded.child import Child, Command, last_lines
from opsplane.embedded.installation import examine, prepare
from opsplane.embedded.layout import ENGINES, processes
from opsplane.embedded.lock import AlreadyRunning, held, supervisor_pid
from opsplane.embedded.places import Places, remove
from opsplane.embedded.ports import holder, is_free
from opsplane.embedded.postgres import Postgres
from opsplane.embedded.process import Process
from opsplane.embedded.report import ProcessReport, Report, read_report
from opsplane.embedded.supervisor import Supervisor
from opsplane.embedded.switches import StartFailed, named, switch, switched_off, wait_for
from opsplane.embedded.valkey import Valkey

__all__ = [
    "BINARIES", "ENGINES", "AlreadyRunning", "Child", "Command", "Places", "Postgres", "Process", "ProcessReport", "Report",
    "StartFailed", "Supervisor", "Valkey", "examine", "held", "holder", "is_free", "last_lines", "named", "prepare", "processes",
    "read_report", "remove", "supervisor_pid", "switch", "switched_off", "unprivileged", "wait_for",
]  # fmt: skip
