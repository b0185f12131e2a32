"""Procrastinate: defer in one batch, run with one worker at concurrency 50; then create→start at 20/s."""

import asyncio
import json
import statistics
import sys
import time

from procrastinate import App, PsycopgConnector


async def main(dsn: str, count: int) -> dict[str, float]:
    app = App(connector=PsycopgConnector(conninfo=dsn, max_size=20))
    done, finished, waits = 0, asyncio.Event(), []

    @app.task(name="noop")
    async def noop(sent: float) -> None:
        nonlocal done
        done += 1
        if sent:
            waits.append(time.time() - sent)
        if done == count:
            finished.set()

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        start = time.perf_counter()
        await noop.batch_defer_async(*[{"sent": 0.0} for _ in range(count)])
        created = time.perf_counter() - start
        worker = asyncio.create_task(app.run_worker_async(concurrency=50, install_signal_handlers=False))
        start = time.perf_counter()
        await asyncio.wait_for(finished.wait(), 240)
        processed = time.perf_counter() - start
        for _ in range(100):
            await noop.defer_async(sent=time.time())
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    waits.sort()
    return {
        "created_per_s": count / created, "processed_per_s": count / processed,
        "start_p50_ms": statistics.median(waits) * 1e3, "start_p99_ms": waits[int(len(waits) * 0.99)] * 1e3,
    }  # fmt: skip


print(json.dumps(asyncio.run(main(sys.argv[1], int(sys.argv[2])))))
