"""Events: publishing, the whole chain, the inbox, the durable path; a redis-py loop and FastStream as peers.

CPU is this process's own (`process_time`), so the engines do not enter. Rounds are interleaved and the median is
taken. Figures of one run compare; those of two runs do not.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.events.backlog import BACKLOG, drain
from benchmarks.events.bench import COUNT, Bench, benches, event
from benchmarks.events.growth import groups, topics
from benchmarks.events.steps import steps
from benchmarks.peers.environment import run_peer
from opsplane.events import encode
from opsplane.telemetry import configure_logging

ROUNDS, PEER_COUNT, SLOW_PEER_COUNT = 5, 20_000, 3_000
GOALS = {
    "publish_per_s": 150_000, "chain_per_s": 60_000, "batch_per_s": 100_000, "inbox_per_s": 15_000,
    "durable_per_s": 20_000, "publish, × redis-py pipeline": 5, "publish, × FastStream": 25,
    "chain, × FastStream": 15, "chain in batches, × FastStream in batches": 3,
}  # fmt: skip
CEILINGS = {"publish_cpu_us": 6.0, "chain_cpu_us": 16.0, "latency_p99_ms": 10.0, "growth_percent": 10.0}


def run() -> dict[str, Any]:
    """Events a second, CPU µs an event, ratios to the peers, and the distance to each goal."""
    configure_logging("bench", level="error")
    with tempfile.TemporaryDirectory(prefix="opsplane-bench-events-") as home:
        return uvloop.run(_measured(Path(home)))


async def _measured(home: Path) -> dict[str, Any]:
    async with benches(home) as bench:
        figures = await _interleaved(bench)
        await bench.clear()
        latency = await bench.latency()
        found = {
            "figures": _rounded({**figures, **{f"latency_{name}_ms": ms for name, ms in latency.items()}}, 2),
            "times as fast, by CPU": _rounded(_ratios(figures), 1),
            "step of the chain, CPU µs an event": _rounded(await steps(bench), 2),
            "topics of one group": await topics(bench),
            "groups on one topic": await groups(bench),
            f"draining {BACKLOG:,} entries": await drain(bench),
        }
    return {
        **found,
        "goals": GOALS,
        "ceilings": CEILINGS,
        "notes": [
            f"{ROUNDS} rounds of {COUNT} events of {len(encode(event(0)))} bytes; append-only file on.",
            f"redis-py {PEER_COUNT}, FastStream {SLOW_PEER_COUNT} events a round, each in a process of its own.",
            "The redis-py loop validates nothing, keeps no history and gives no typed event: it is the floor.",
        ],
    }


async def _interleaved(bench: Bench) -> dict[str, float]:
    rounds: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, part in bench.parts().items():
            await bench.clear()
            for figure, value in (await part()).items():
                rounds.setdefault(f"{name}_{figure}", []).append(value)
        for peer, count in (("redis", PEER_COUNT), ("faststream", SLOW_PEER_COUNT)):
            answer = await asyncio.to_thread(run_peer, peer, bench.url, str(count))
            for figure, value in answer.items():
                rounds.setdefault(f"{peer}_{figure}", []).append(value)
    return {name: statistics.median(values) for name, values in sorted(rounds.items())}


def _ratios(figures: dict[str, float]) -> dict[str, float]:
    return {
        "publish, × redis-py pipeline": figures["redis_publish_cpu_us"] / figures["publish_cpu_us"],
        "publish, × FastStream": figures["faststream_publish_cpu_us"] / figures["publish_cpu_us"],
        "chain, × redis-py loop": figures["redis_consume_cpu_us"] / figures["chain_cpu_us"],
        "chain, × FastStream": figures["faststream_consume_cpu_us"] / figures["chain_cpu_us"],
        "chain in batches, × FastStream in batches": figures["faststream_batch_cpu_us"]
        / figures["batch_cpu_us"],
    }


def _rounded(figures: dict[str, float], digits: int) -> dict[str, float]:
    return {name: round(value, digits) for name, value in figures.items()}
