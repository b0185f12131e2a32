"""One worker process of the benchmark, until it is terminated."""

from __future__ import annotations

import asyncio
import os
import signal

import uvloop

from benchmarks.tasks.bench import Bench
from opsplane.database import Doorbell, Pool
from opsplane.telemetry import configure_logging


async def main() -> None:
    """Work on the database of `BENCH_DSN`."""
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    pool = await Pool.open(os.environ["BENCH_DSN"])
    doorbell = Doorbell(pool.dsn)
    async with Bench(pool, doorbell).worker():
        await terminated.wait()
    await doorbell.close()
    await pool.close()


if __name__ == "__main__":
    configure_logging("bench", level="error")
    uvloop.run(main())
