"""A sender of callbacks to be killed: `DSN PORT SECRETS`, with a lease of two seconds.

`--early` plants a defect: a message is noted as delivered before it is sent.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from opsplane.database import Pool
from opsplane.resilience import Backoff, Stop, run_duties
from opsplane.tasks.callbacks import CallbackBook, CallbackPolicy
from opsplane.tasks.callbacks.book import Due
from opsplane.tasks.callbacks.post import Post
from opsplane.tasks.callbacks.sender import CallbackSender
from opsplane.tasks.callbacks.signing import SigningSecrets


class Early(CallbackSender):
    """The planted defect."""

    async def send(self, due: Due) -> None:
        await self._book.note(due, "delivered", status=200, error=None)
        await super().send(due)


async def main(dsn: str, port: str, secrets: str, *options: str) -> None:
    pool = await Pool.open(dsn, max_size=8, timeout=30.0)
    policy = CallbackPolicy.of(http=True, ports=[int(port)], allow=["127.0.0.1"])
    kind = Early if "--early" in options else CallbackSender
    parts = CallbackBook(pool), SigningSecrets(Path(secrets)), Post(policy)
    await run_duties([kind(*parts, lease=2.0, backoff=Backoff(0.1, 0.5))], Stop())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
