"""FastStream on Redis Streams: publish one by one, consume with a single-message handler in a group."""

import asyncio
import json
import logging
import sys
import time

import uvloop
from faststream.redis import RedisBroker, StreamSub
from pydantic import BaseModel


class Note(BaseModel):
    note: str
    price: float
    quantity: int


async def main(url: str, count: int) -> dict[str, float]:
    broker = RedisBroker(url, logger=None)
    done = asyncio.Event()
    seen = 0

    @broker.subscriber(
        stream=StreamSub("peer.faststream", group="g", consumer="c", max_records=500, last_id=">")
    )
    async def handle(message: Note) -> None:
        nonlocal seen
        seen += 1
        if seen == count:
            done.set()

    await broker.connect()
    message = Note(note="x" * 480, price=12.5, quantity=3)
    start, cpu = time.perf_counter(), time.process_time()
    for first in range(0, count, 100):
        await asyncio.gather(
            *(broker.publish(message, stream="peer.faststream") for _ in range(min(100, count - first)))
        )
    published, published_cpu = time.perf_counter() - start, time.process_time() - cpu
    client = __import__("redis.asyncio").asyncio.from_url(url)
    await client.xgroup_create("peer.faststream", "g", "0")
    start, cpu = time.perf_counter(), time.process_time()
    await broker.start()
    await asyncio.wait_for(done.wait(), 240)
    consumed, consumed_cpu = time.perf_counter() - start, time.process_time() - cpu
    await broker.stop()
    await client.delete("peer.faststream")
    await client.aclose()
    return {
        "publish_per_s": count / published, "publish_cpu_us": published_cpu / count * 1e6,
        "consume_per_s": count / consumed, "consume_cpu_us": consumed_cpu / count * 1e6,
    }  # fmt: skip


logging.disable(logging.CRITICAL)
print(json.dumps(uvloop.run(main(sys.argv[1], int(sys.argv[2])))))
