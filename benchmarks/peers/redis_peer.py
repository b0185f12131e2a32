"""redis-py: pipelined XADD of ready envelopes, then a read → decode → acknowledge loop. Nothing is validated."""

import json
import sys
import time
import uuid

import redis.asyncio as redis
import uvloop


async def main(url: str, count: int) -> dict[str, float]:
    client = redis.from_url(url)
    await client.delete("peer.redis.loop")
    body = {"note": "x" * 480, "price": 12.5, "quantity": 3}
    start, cpu = time.perf_counter(), time.process_time()
    for first in range(0, count, 500):
        pipe = client.pipeline(transaction=False)
        for number in range(first, min(first + 500, count)):
            envelope = {"id": str(uuid.uuid4()), "specversion": "1.0", "type": "peer", "source": "bench",
                        "subject": str(number), "data": body}  # fmt: skip
            pipe.xadd("peer.redis.loop", {"data": json.dumps(envelope)})
        await pipe.execute()
    published, published_cpu = time.perf_counter() - start, time.process_time() - cpu
    await client.xgroup_create("peer.redis.loop", "g", "0")
    done, start, cpu = 0, time.perf_counter(), time.process_time()
    while done < count:
        for _, entries in await client.xreadgroup("g", "c", {"peer.redis.loop": ">"}, count=500):
            for _, fields in entries:
                json.loads(fields[b"data"])
            await client.xack("peer.redis.loop", "g", *[entry for entry, _ in entries])
            done += len(entries)
    consumed, consumed_cpu = time.perf_counter() - start, time.process_time() - cpu
    await client.delete("peer.redis.loop")
    await client.aclose()
    return {
        "publish_per_s": count / published, "publish_cpu_us": published_cpu / count * 1e6,
        "consume_per_s": count / consumed, "consume_cpu_us": consumed_cpu / count * 1e6,
    }  # fmt: skip


print(json.dumps(uvloop.run(main(sys.argv[1], int(sys.argv[2])))))
