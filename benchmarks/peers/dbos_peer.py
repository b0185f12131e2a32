"""DBOS on PostgreSQL: workflows enqueued by a process that runs none, then one process with 50 at once that polls every 10 ms."""

import asyncio
import itertools
import json
import logging
import statistics
import subprocess
import sys
import threading
import time

from dbos import DBOS

logging.disable(logging.WARNING)
finished, waits = threading.Event(), []
done = itertools.count(1)


@DBOS.workflow()
async def noop(sent: float) -> None:
    if sent:
        waits.append(time.time() - sent)
    if next(done) == int(sys.argv[2]):
        finished.set()


def launch(dsn: str, *queues: str) -> None:
    DBOS(
        config={
            "name": "peer",
            "system_database_url": dsn,
            "run_admin_server": False,
            "application_version": "1",
        }
    )
    DBOS.listen_queues(queues)
    DBOS.launch()


async def create(count: int) -> float:
    await DBOS.register_queue_async("noop", worker_concurrency=50, polling_interval_sec=0.01)
    start = time.perf_counter()
    for first in range(0, count, 100):
        await asyncio.gather(
            *(DBOS.enqueue_workflow_async("noop", noop, 0.0) for _ in range(min(100, count - first)))
        )
    return count / (time.perf_counter() - start)


async def process(count: int) -> dict[str, float]:
    start = time.perf_counter()
    await asyncio.to_thread(finished.wait, 240)
    processed = time.perf_counter() - start
    for _ in range(100):
        await DBOS.enqueue_workflow_async("noop", noop, time.time())
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.0)
    waits.sort()
    return {
        "processed_per_s": count / processed,
        "start_p50_ms": statistics.median(waits) * 1e3, "start_p99_ms": waits[int(len(waits) * 0.99)] * 1e3,
    }  # fmt: skip


def main(dsn: str, count: int, only_create: bool) -> dict[str, float]:
    if only_create:
        launch(dsn)
        return {"created_per_s": asyncio.run(create(count))}
    made = subprocess.run(
        [sys.executable, __file__, dsn, str(count), "create"], capture_output=True, check=True
    )
    launch(dsn, "noop")
    return {**json.loads(made.stdout.splitlines()[-1]), **asyncio.run(process(count))}


print(json.dumps(main(sys.argv[1], int(sys.argv[2]), len(sys.argv) > 3)), flush=True)
DBOS.destroy()
