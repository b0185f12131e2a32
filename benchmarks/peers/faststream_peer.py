"""FastStream on Redis Streams: publish one by one, consume with a handler of one message, then with one of batches."""

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
    batched = await batches(url, count, message)
    await client.aclose()
    return {
        **batched,
        "publish_per_s": count / published, "publish_cpu_us": published_cpu / count * 1e6,
        "consume_per_s": count / consumed, "consume_cpu_us": consumed_cpu / count * 1e6,
    }  # fmt: skip


async def batches(url: str, count: int, message: Note) -> dict[str, float]:
    broker = RedisBroker(url, logger=None)
    done = asyncio.Event()
    seen = 0

    @broker.subscriber(
        stream=StreamSub("peer.fastbatch", group="g", consumer="c", max_records=500, last_id=">", batch=True)
    )
    async def handle(messages: list[Note]) -> None:
        nonlocal seen
        seen += len(messages)
        if seen == count:
            done.set()

    await broker.connect()
    for first in range(0, count, 100):
        await asyncio.gather(
            *(broker.publish(message, stream="peer.fastbatch") for _ in range(min(100, count - first)))
        )
    client = __import__("redis.asyncio").asyncio.from_url(url)
    await client.xgroup_create("peer.fastbatch", "g", "0")
    start, cpu = time.perf_counter(), time.process_time()
    await broker.start()
    await asyncio.wait_for(done.wait(), 240)
    consumed, consumed_cpu = time.perf_counter() - start, time.process_time() - cpu
    await broker.stop()
    await client.delete("peer.fastbatch")
    await client.aclose()
    return {"batch_per_s": count / consumed, "batch_cpu_us": consumed_cpu / count * 1e6}


logging.disable(logging.CRITICAL)
print(json.dumps(uvloop.run(main(sys.argv[1], int(sys.argv[2])))))
