"""Workers in any language: they claim tasks of remote types over HTTP under a lease of time, and write back fenced."""

from __future__ import annotations

from opsplane.tasks.remote.dealer import Dealer
from opsplane.tasks.remote.leases import Ask, Lease, WorkerGone
from opsplane.tasks.remote.returns import Told
from opsplane.tasks.remote.work import Dealt, NotRemote, Pulse, RemoteWork

__all__ = ["Ask", "Dealer", "Dealt", "Lease", "NotRemote", "Pulse", "RemoteWork", "Told", "WorkerGone"]
