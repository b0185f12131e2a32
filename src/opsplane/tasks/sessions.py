"""Sessions of the engine that are no pool's: direct, kept for long, and noticed by the server when their owner dies."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row

from opsplane.database import Connection

CHECK_INTERVAL = "-c client_connection_check_interval=500ms"
CLAIM_PLAN = (
    "-c enable_bitmapscan=off -c enable_seqscan=off"  # without statistics a claim fell to a bitmap scan
)
KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "connect_timeout": 5,
}


async def open_session(dsn: str, name: str, options: str = CHECK_INTERVAL) -> Connection:
    """A session in autocommit mode whose rows are dicts; needs a direct connection, not a transaction pooler."""
    return await psycopg.AsyncConnection.connect(
        str.__str__(dsn),
        autocommit=True,
        row_factory=dict_row,
        application_name=name,
        options=options,
        **KEEPALIVE,
    )
