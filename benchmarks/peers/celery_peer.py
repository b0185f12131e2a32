"""Celery on Redis with late acknowledgement: one worker process with two pool processes, results off."""

import json
import os
import statistics
import subprocess
import sys
import time

import redis
from celery import Celery

url = os.environ.get("CELERY_URL") or sys.argv[1]
app = Celery("celery_peer", broker=url)
app.conf.update(
    task_acks_late=True, task_reject_on_worker_lost=True, task_ignore_result=True, worker_prefetch_multiplier=50,
    broker_connection_retry_on_startup=True, worker_hijack_root_logger=False,
)  # fmt: skip
counter = redis.from_url(url)


@app.task
def noop(sent: float) -> None:
    now = time.time()
    if sent:
        counter.rpush("celery.waits", now - sent)
    counter.incr("celery.done")


def wait_for(total: int) -> None:
    deadline = time.time() + 240
    while int(counter.get("celery.done") or 0) < total:
        if time.time() > deadline:
            raise TimeoutError("celery did not finish")
        time.sleep(0.01)


def main(count: int) -> dict[str, float]:
    counter.delete("celery.done", "celery.waits")
    start = time.perf_counter()
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(count):
            noop.apply_async((0.0,), producer=producer)
    created = time.perf_counter() - start
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "celery_peer", "worker", "-c", "2", "-l", "ERROR", "--without-gossip",
         "--without-mingle"],
        env={**os.environ, "CELERY_URL": url}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(1)
        first, start = int(counter.get("celery.done") or 0), time.perf_counter()
        wait_for(count)
        processed = time.perf_counter() - start
        for _ in range(100):
            noop.delay(time.time())
            time.sleep(0.05)
        wait_for(count + 100)
    finally:
        worker.terminate()
        worker.wait()
    waits = sorted(float(wait) for wait in counter.lrange("celery.waits", 0, -1))
    return {
        "created_per_s": count / created, "processed_per_s": (count - first) / processed,
        "start_p50_ms": statistics.median(waits) * 1e3, "start_p99_ms": waits[int(len(waits) * 0.99)] * 1e3,
    }  # fmt: skip


if __name__ == "__main__" and len(sys.argv) > 2:
    print(json.dumps(main(int(sys.argv[2]))))
