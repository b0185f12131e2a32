"""The three real engines under the supervisor, without Python roles."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis

from opsplane.embedded import Supervisor, held, prepare, processes, remove, report, switch
from opsplane.embedded.ports import free_ports
from opsplane.embedded.probes import answers_over_unix
from opsplane.gateway import bootstrap, write_empty


@pytest.fixture
def states(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    pair = (tmp_path / "one", tmp_path / "two")
    yield pair
    for state in pair:
        remove(state)


def start_files(directory: Path, admin_socket: Path) -> dict[str, Any]:
    write_empty(directory)
    return dict(bootstrap(directory, admin_socket))


@asynccontextmanager
async def running(state: Path, port: int | None = None) -> AsyncIterator[dict[str, Any]]:
    """The engines of `state` running; Envoy's listener is the gateway role's matter, which is off."""
    stop = asyncio.Event()
    with held(state):
        document = prepare(state, port, "")
        switch(state, off=["gateway"])
        task = asyncio.create_task(Supervisor(state, processes(document, {}, start_files)).run(stop))
        try:
            await until(lambda: task.done() or phase(state) == "ready")
            if task.done():
                task.result()
            yield document
        finally:
            stop.set()
            await task


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come true"
        await asyncio.sleep(0.02)


def phase(state: Path) -> str | None:
    current = report.read_report(state)
    return current.state if current and current.pid == os.getpid() else None


def seen(state: Path, name: str) -> report.ProcessReport:
    current = report.read_report(state)
    assert current
    return next(process for process in current.processes if process.name == name)


def add_row(document: dict[str, Any]) -> int:
    with psycopg.connect(document["databases"]["order"]) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        connection.execute("INSERT INTO kept VALUES (1)")
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
    return int(row[0]) if row else 0


def add_entry(document: dict[str, Any]) -> int:
    with redis.Redis.from_url(document["broker"]["service"]) as client:
        client.xadd("a.b.c", {"data": "{}"})
        return int(client.xlen("a.b.c"))


async def test_engines_start_serve_and_keep_their_data(states: tuple[Path, Path]) -> None:
    state = states[0]
    for count in (1, 2):
        async with running(state, free_ports(1)[0] if count == 1 else None) as document:
            assert add_row(document) == count
            assert add_entry(document) == count
            assert answers_over_unix(Path(document["engines"]["envoy"]["admin_socket"]), "/ready")
            pids = [seen(state, name).pid for name in ("postgres", "valkey", "envoy")]
        assert not any(psutil.pid_exists(pid) for pid in pids if pid)


async def test_killed_engine_comes_back_with_its_data(states: tuple[Path, Path]) -> None:
    async with running(states[0], free_ports(1)[0]) as document:
        assert add_row(document) == 1
        for name in ("postgres", "valkey", "envoy"):
            first = seen(states[0], name).pid
            assert first
            os.kill(first, signal.SIGKILL)
            await until(lambda name=name: seen(states[0], name).restarts > 0)
            await until(lambda name=name: seen(states[0], name).health == "healthy")
            assert seen(states[0], name).pid != first
        assert add_row(document) == 2


async def test_two_instances_do_not_disturb_each_other(states: tuple[Path, Path]) -> None:
    one, two = states
    ports = free_ports(2)
    async with running(one, ports[0]) as first:
        async with running(two, ports[1]) as second:
            assert add_row(first) == add_row(second) == 1
            assert add_entry(first) == add_entry(second) == 1
        assert add_row(first) == 2
        assert add_entry(first) == 2


async def test_valkey_users_may_do_what_they_are_for_and_no_more(states: tuple[Path, Path]) -> None:
    async with running(states[0], free_ports(1)[0]) as document:
        urls = document["broker"]
        script = "return redis.call('XLEN', KEYS[1])"
        with redis.Redis.from_url(urls["events"]) as events, redis.Redis.from_url(urls["service"]) as service:
            assert events.eval(script, 1, "s") == 0
            service.xadd("s", {"data": "{}"})
            service.xgroup_create("s", "g")
            assert service.xlen("s") == 1
            for client, command in (
                (service, ("EVAL", script, "1", "s")),
                (service, ("FLUSHALL",)),
                (service, ("CONFIG", "GET", "*")),
                (service, ("ACL", "LIST")),
                (events, ("FLUSHALL",)),
                (events, ("CONFIG", "GET", "*")),
                (events, ("SHUTDOWN",)),
            ):
                with pytest.raises(redis.exceptions.NoPermissionError):
                    client.execute_command(*command)
            with pytest.raises(redis.ResponseError, match="DEBUG command not allowed"):
                service.execute_command("DEBUG", "SLEEP", "0")
        nobody = redis.Redis(port=document["engines"]["valkey"]["port"])
        with nobody, pytest.raises(redis.AuthenticationError):
            nobody.ping()


async def test_nothing_listens_beyond_loopback_and_no_admin_port_is_on_tcp(states: tuple[Path, Path]) -> None:
    async with running(states[0], free_ports(1)[0]) as document:
        listening = set()
        for name in ("postgres", "valkey", "envoy"):
            process = psutil.Process(seen(states[0], name).pid)
            listening |= {
                (one.laddr.ip, one.laddr.port)
                for one in process.net_connections("tcp")
                if one.status == "LISTEN"
            }
        engines = document["engines"]
        assert listening == {("127.0.0.1", engines[name]["port"]) for name in ("postgres", "valkey")}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes accounts")
async def test_as_root_no_engine_runs_as_root(states: tuple[Path, Path]) -> None:
    async with running(states[0], free_ports(1)[0]):
        for name in ("postgres", "valkey", "envoy"):
            process = psutil.Process(seen(states[0], name).pid)
            assert 0 not in (process.uids().real, process.uids().effective, process.uids().saved), name


async def test_report_has_no_secret(states: tuple[Path, Path]) -> None:
    async with running(states[0], free_ports(1)[0]) as document:
        text = (states[0] / "run" / "supervisor.json").read_text()
        text += "".join(path.read_text(errors="replace") for path in (states[0] / "logs").iterdir())
        for url in (*document["databases"].values(), *document["broker"].values()):
            assert url.split(":")[2].split("@")[0] not in text
        assert json.loads((states[0] / "run" / "supervisor.json").read_text())["state"] == "ready"


async def test_private_umask_and_missing_parents_do_not_lock_the_engines_out(
    states: tuple[Path, Path],
) -> None:
    former = os.umask(0o077)
    try:
        async with running(states[0] / "deep" / "er", free_ports(1)[0]) as document:
            assert add_row(document) == 1
    finally:
        os.umask(former)
        remove(states[0] / "deep" / "er")
