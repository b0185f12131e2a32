"""arq on Redis: one worker in this process, 50 jobs at once, results off; a job is kept in its queue until it is done."""

import asyncio
import json
import statistics
import sys
import time

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker, func


async def main(url: str, count: int) -> dict[str, float]:
    done, finished, waits = 0, asyncio.Event(), []

    async def noop(_ctx: dict, sent: float) -> None:
        nonlocal done
        done += 1
        if sent:
            waits.append(time.time() - sent)
        if done == count:
            finished.set()

    settings = RedisSettings.from_dsn(url)
    pool = await create_pool(settings)
    start = time.perf_counter()
    for first in range(0, count, 500):
        await asyncio.gather(*(pool.enqueue_job("noop", 0.0) for _ in range(min(500, count - first))))
    created = time.perf_counter() - start
    worker = Worker([func(noop, name="noop", keep_result=0)], redis_settings=settings, max_jobs=50, poll_delay=0.005,
                    queue_read_limit=500, handle_signals=False)  # fmt: skip
    start = time.perf_counter()
    running = asyncio.create_task(worker.async_run())
    await asyncio.wait_for(finished.wait(), 240)
    processed = time.perf_counter() - start
    for _ in range(100):
        await pool.enqueue_job("noop", time.time())
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await worker.close()
    waits.sort()
    return {
        "created_per_s": count / created, "processed_per_s": count / processed,
        "start_p50_ms": statistics.median(waits) * 1e3, "start_p99_ms": waits[int(len(waits) * 0.99)] * 1e3,
    }  # fmt: skip


print(json.dumps(asyncio.run(main(sys.argv[1], int(sys.argv[2])))))
