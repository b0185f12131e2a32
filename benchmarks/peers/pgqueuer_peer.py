"""pgqueuer on asyncpg: enqueue in batches, process with batches of 500 in one process, then create→start at 20/s."""

import asyncio
import json
import statistics
import sys
import time
from datetime import timedelta

import asyncpg
import uvloop
from pgqueuer import AsyncpgDriver, Job, PgQueuer, Queries


async def main(dsn: str, count: int) -> dict[str, float]:
    connection, other = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    queries = Queries(AsyncpgDriver(other))
    await queries.install()
    app = PgQueuer(AsyncpgDriver(connection))
    done, finished, waits = 0, asyncio.Event(), []

    @app.entrypoint("noop")
    async def noop(job: Job) -> None:
        nonlocal done
        done += 1
        if job.payload:
            waits.append(time.time() - float(job.payload))
        if done == count:
            finished.set()

    start = time.perf_counter()
    for first in range(0, count, 1000):
        size = min(1000, count - first)
        await queries.enqueue(["noop"] * size, [None] * size, [0] * size)
    created = time.perf_counter() - start
    start = time.perf_counter()
    worker = asyncio.create_task(app.run(dequeue_timeout=timedelta(seconds=1), batch_size=500))
    await asyncio.wait_for(finished.wait(), 240)
    processed = time.perf_counter() - start
    for _ in range(100):
        await queries.enqueue("noop", str(time.time()).encode(), 0)
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.5)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    waits.sort()
    return {
        "created_per_s": count / created, "processed_per_s": count / processed,
        "start_p50_ms": statistics.median(waits) * 1e3, "start_p99_ms": waits[int(len(waits) * 0.99)] * 1e3,
    }  # fmt: skip


print(json.dumps(uvloop.run(main(sys.argv[1], int(sys.argv[2])))))
