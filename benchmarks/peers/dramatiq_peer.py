"""Dramatiq on Redis: one worker in this process with eight threads; messages are acknowledged when they are processed."""

import json
import logging
import statistics
import sys
import threading
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker

logging.disable(logging.INFO)


def main(url: str, count: int) -> dict[str, float]:
    broker = RedisBroker(url=url)
    dramatiq.set_broker(broker)
    lock, finished, waits, done = threading.Lock(), threading.Event(), [], 0

    @dramatiq.actor
    def noop(sent: float) -> None:
        nonlocal done
        with lock:
            done += 1
            if sent:
                waits.append(time.time() - sent)
            if done == count:
                finished.set()

    start = time.perf_counter()
    for _ in range(count):
        noop.send(0.0)
    created = time.perf_counter() - start
    worker = dramatiq.Worker(broker, worker_threads=8, worker_timeout=100)
    start = time.perf_counter()
    worker.start()
    finished.wait(240)
    processed = time.perf_counter() - start
    for _ in range(100):
        noop.send(time.time())
        time.sleep(0.05)
    time.sleep(0.5)
    worker.stop()
    waits.sort()
    return {
        "created_per_s": count / created, "processed_per_s": count / processed,
        "start_p50_ms": statistics.median(waits) * 1e3, "start_p99_ms": waits[int(len(waits) * 0.99)] * 1e3,
    }  # fmt: skip


print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
