"""taskiq on Redis streams, acknowledged when executed: one receiver in this process, 50 tasks at once, no result backend."""

import asyncio
import json
import statistics
import sys
import time

import uvloop
from taskiq.acks import AcknowledgeType
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker


async def main(url: str, count: int) -> dict[str, float]:
    broker = RedisStreamBroker(url=url, queue_name="taskiq", xread_count=500)
    done, finished, waits = 0, asyncio.Event(), []

    @broker.task(task_name="noop")
    async def noop(sent: float) -> None:
        nonlocal done
        done += 1
        if sent:
            waits.append(time.time() - sent)
        if done == count:
            finished.set()

    await broker.startup()
    start = time.perf_counter()
    for first in range(0, count, 500):
        await asyncio.gather(*(noop.kiq(0.0) for _ in range(min(500, count - first))))
    created = time.perf_counter() - start
    start = time.perf_counter()
    receiver = asyncio.create_task(
        run_receiver_task(
            broker, max_async_tasks=50, max_prefetch=500, ack_time=AcknowledgeType.WHEN_EXECUTED
        )
    )
    await asyncio.wait_for(finished.wait(), 240)
    processed = time.perf_counter() - start
    for _ in range(100):
        await noop.kiq(time.time())
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    receiver.cancel()
    await asyncio.gather(receiver, return_exceptions=True)
    await broker.shutdown()
    waits.sort()
    return {
        "created_per_s": count / created, "processed_per_s": count / processed,
        "start_p50_ms": statistics.median(waits) * 1e3, "start_p99_ms": waits[int(len(waits) * 0.99)] * 1e3,
    }  # fmt: skip


print(json.dumps(uvloop.run(main(sys.argv[1], int(sys.argv[2])))))
