from __future__ import annotations

import cyclopts

from opsplane.cli.operations import call
from opsplane.cli.output import emit
from opsplane.cli.session import Common, session

app = cyclopts.App(name="worker", help="List the workers that run tasks.")

DEFAULTS = Common()
COLUMNS = ("number", "name", "owner", "host", "pid", "slots", "running", "leaseUntil", "beatAt", "goneAt", "goneReason")  # fmt: skip


@app.command(name="ls")
async def list_workers(*, common: Common = DEFAULTS) -> None:
    """The workers that are there, and those that went within the last hour; remote ones have an owner and a lease."""
    async with session(common) as opened:
        found = (await call(opened, "GET", "/workers"))["data"]
    emit(found, common.output, columns=COLUMNS if common.output == "table" else None)
