"""A backlog of a million entries drained by a process of its own, whose resident memory is looked at meanwhile."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import uvloop

from benchmarks.events.bench import SCHEMA, TOPIC, Bench, event, until
from opsplane.clock import SYSTEM
from opsplane.events import (
    ConsumerGroup,
    Context,
    Entry,
    Event,
    Outbox,
    Schemas,
    Service,
    connect,
    consumer,
    encode,
)
from opsplane.resilience import Stop, run_duties
from opsplane.telemetry import configure_logging

BACKLOG = 1_000_000
SAMPLES = 10


async def drain(bench: Bench) -> dict[str, float]:
    """Events a second, and MiB of resident memory at a tenth, half and the end of the backlog, and at most."""
    await bench.clear()
    for first in range(0, BACKLOG, 500):
        await bench.broker.publish_many(
            [Entry(TOPIC, encode(event(number))) for number in range(first, first + 500)]
        )
    command = [sys.executable, "-m", "benchmarks.events.backlog", bench.url]
    finished = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, check=True)
    await bench.clear()
    found: dict[str, float] = json.loads(finished.stdout)
    return found


async def _child(url: str, schemas: Schemas) -> dict[str, float]:
    done, process = 0, psutil.Process()
    memory: list[float] = []

    @consumer(TOPIC, group="backlog")
    async def handle(_event: Event[Any], _ctx: Context) -> None:
        nonlocal done
        done += 1
        if done % (BACKLOG // SAMPLES) == 0:
            memory.append(process.memory_info().rss / 2**20)

    broker = connect(url)
    service = Service("bench", None, Outbox(schemas, "bench"), SYSTEM)  # type: ignore[arg-type]  its handler needs none
    stop, began = Stop(), time.perf_counter()
    running = asyncio.create_task(run_duties([ConsumerGroup([handle], service, broker, schemas)], stop))
    await until(lambda: done >= BACKLOG)
    seconds = time.perf_counter() - began
    stop.set()
    await running
    await broker.close()
    return {
        "per_s": round(BACKLOG / seconds),
        "mib_at_a_tenth": round(memory[0]),
        "mib_at_half": round(memory[SAMPLES // 2 - 1]),
        "mib_at_the_end": round(memory[-1]),
        "growth_percent": round(100 * (max(memory) / memory[0] - 1), 1),
    }


if __name__ == "__main__":
    configure_logging("bench", level="error")
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / TOPIC / "1.json"
        path.parent.mkdir()
        path.write_text(json.dumps(SCHEMA))
        print(json.dumps(uvloop.run(_child(sys.argv[1], Schemas.load(Path(home))))))
