"""PostgreSQL, used fully: pool, transactions, migrations, doorbell, leader, audit."""

from __future__ import annotations

from opsplane.database.audit import append_audit
from opsplane.database.doorbell import Bell, Doorbell
from opsplane.database.leader import Leader
from opsplane.database.migrations import migrate
from opsplane.database.pool import Connection, DatabaseUnavailable, Pool, after_commit
from opsplane.database.statements import sql
from opsplane.database.viewing import ViewedPool, Viewer

__all__ = [
    "Bell",
    "Connection",
    "DatabaseUnavailable",
    "Doorbell",
    "Leader",
    "Pool",
    "ViewedPool",
    "Viewer",
    "after_commit",
    "append_audit",
    "migrate",
    "sql",
]
