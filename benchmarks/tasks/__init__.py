"""Tasks: created, processed, create→start, over worker processes, in fair queues, with much history and under a held snapshot.

One worker process with no-op handlers unless said otherwise, fsync on. The worker and its PostgreSQL share the machine, as those
of the peers do, which run interleaved with it at their best settings that lose nothing (each module of `peers` says which).
Figures of one run compare; those of two runs do not. `BENCH_SNAPSHOT_SECONDS=600` holds the snapshot for ten minutes.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import statistics
import tempfile
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.peers.environment import run_peer
from benchmarks.tasks.bench import BATCH, COUNT, Bench
from opsplane.database import Doorbell, Pool, migrate
from opsplane.embedded import Postgres, Valkey
from opsplane.embedded.ports import free_ports
from opsplane.telemetry import configure_logging

HISTORY = 10_000_000
SNAPSHOT_SECONDS = float(os.environ.get("BENCH_SNAPSHOT_SECONDS", "30"))
ROUNDS = 2
PEERS = {
    "pgqueuer": 20_000, "procrastinate": 3_000, "dbos": 1_500, "celery": 3_000, "dramatiq": 5_000, "taskiq": 5_000, "arq": 3_000,
}  # fmt: skip
ON_POSTGRES = ("pgqueuer", "procrastinate", "dbos")
GOALS = {
    "created_per_s": 60_000, "processed_per_s": 25_000, "processed_emit_all_per_s": 8_000, "snapshot_per_s": 20_000,
    "× pgqueuer": 2.0, "× procrastinate": 25.0, "× dbos": 25.0, "× celery": 25.0, "× taskiq": 6.0,
}  # fmt: skip
CEILINGS = {"start_p50_ms": 3.0, "start_p99_ms": 15.0, "history_cost_percent": 10.0}


def run(history: int = HISTORY, snapshot: float = SNAPSHOT_SECONDS) -> dict[str, Any]:
    """Figures, ratios to the peers, and which goals are met."""
    configure_logging("bench", level="error")
    with tempfile.TemporaryDirectory(prefix="opsplane-bench-tasks-") as home:
        Path(home).chmod(0o755)
        return uvloop.run(_with_engines(Path(home), history, snapshot))


async def _with_engines(home: Path, history: int, snapshot: float) -> dict[str, Any]:
    postgres = Postgres(
        home / "postgres", port=free_ports(1)[0], password=secrets.token_urlsafe(8), log=home / "postgres.log"
    )
    users = {user: secrets.token_urlsafe(16) for user in ("events", "service", "admin")}
    valkey = Valkey(home / "valkey", port=free_ports(1)[0], passwords=users, log=home / "valkey.log")
    await asyncio.to_thread(postgres.start)
    try:
        await asyncio.to_thread(valkey.start)
        try:
            return await _measure(postgres, valkey, history, snapshot)
        finally:
            await asyncio.to_thread(valkey.stop)
    finally:
        await asyncio.to_thread(postgres.stop)


async def _measure(postgres: Postgres, valkey: Valkey, history: int, snapshot: float) -> dict[str, Any]:
    postgres.provision({"ours": "ours"})
    pool = await Pool.open(postgres.dsn("ours", "ours", "ours"), timeout=600.0)
    doorbell = Doorbell(pool.dsn)
    try:
        for source in ("events", "tasks"):
            await migrate(pool, source, f"opsplane.{source}.migrations")
        bench = Bench(pool, doorbell)
        ours, peers = await _beside_peers(bench, postgres, valkey)
        spread = await _spread(bench)
        figures = {**ours, **await _ours(bench, history, snapshot)}
    finally:
        await doorbell.close()
        await pool.close()
    return {
        "figures": _rounded(figures),
        "times as fast": _rounded(
            {f"× {name}": ours["processed_per_s"] / peer["processed_per_s"] for name, peer in peers.items()}
        ),
        "tasks a second, of workers and tenants": _rounded(spread),
        "peers": {name: _rounded(peer) for name, peer in peers.items()},
        "goals": GOALS,
        "ceilings": CEILINGS,
        "notes": [
            f"{COUNT:,} no-op tasks a round; history of {history:,} finished tasks; snapshot held for {snapshot:g} s.",
            f"Peers in {ROUNDS} rounds in turn with ours, one process each: "
            + ", ".join(f"{name} {count:,} tasks" for name, count in PEERS.items()) + ".",
        ],
    }  # fmt: skip


async def _beside_peers(
    bench: Bench, postgres: Postgres, valkey: Valkey
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """What we and the peers do in turn: the medians of the rounds."""
    await bench.process("quiet", BATCH)  # warm
    rounds: list[tuple[float, float]] = []
    found: dict[str, list[dict[str, float]]] = {name: [] for name in PEERS}
    for number in range(ROUNDS):
        for name, count in PEERS.items():
            if name in ("pgqueuer", "celery"):
                rounds.append(await bench.process("quiet", COUNT))
            found[name].append(await asyncio.to_thread(_peer, name, count, number, postgres, valkey))
    ours = {
        "processed_per_s": statistics.median(rate for rate, _ in rounds),
        "cpu_us_per_task": statistics.median(cpu for _, cpu in rounds),
    }
    peers = {
        name: {key: statistics.median(one[key] for one in several) for key in several[0]}
        for name, several in found.items()
    }
    return ours, peers


def _peer(name: str, count: int, number: int, postgres: Postgres, valkey: Valkey) -> dict[str, float]:
    if name not in ON_POSTGRES:
        return run_peer(name, valkey.url("admin"), str(count))
    database = f"{name}_{number}"
    postgres.provision({database: database})
    return run_peer(name, postgres.dsn(database, database, database), str(count))


async def _spread(bench: Bench) -> dict[str, float]:
    found = {f"{workers} worker processes": await bench.by_processes(COUNT, workers) for workers in (1, 2, 4)}
    fair = {
        f"fair queue, {tenants:,} tenants": await bench.fair(COUNT // 2, tenants)
        for tenants in (1, 100, 10_000)
    }
    return found | fair


async def _ours(bench: Bench, history: int, snapshot: float) -> dict[str, float]:
    created = [await bench.create("quiet", COUNT // 2) for _ in range(2)]
    await bench.process("quiet", BATCH)
    loud_rounds = [await bench.process("loud", COUNT // 4) for _ in range(2)]
    starts = await bench.starts()
    held = await bench.under_snapshot(snapshot)
    before = statistics.median([(await bench.process("quiet", COUNT))[0] for _ in range(3)])
    await bench.fill_history(history)
    after = statistics.median([(await bench.process("quiet", COUNT))[0] for _ in range(3)])
    return {
        "created_per_s": statistics.median(created),
        "processed_emit_all_per_s": statistics.median(rate for rate, _ in loud_rounds),
        "start_p50_ms": statistics.median(starts),
        "start_p99_ms": starts[int(len(starts) * 0.99)],
        "snapshot_per_s": statistics.median(held),
        "snapshot_last_per_s": held[-1],
        "history_per_s": after,
        "history_cost_percent": max(0.0, (1 - after / before) * 100),
    }


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in values.items()}
