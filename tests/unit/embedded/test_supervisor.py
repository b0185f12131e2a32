from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from opsplane.embedded import Command, Process, StartFailed, Supervisor, keeper, lock, report
from opsplane.embedded.leftovers import kill_leftovers
from opsplane.embedded.switches import switch

SERVE = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text('up'); print('serving', flush=True); time.sleep(600)"


def child(state: Path, name: str, code: str = SERVE, **options: object) -> Process:
    """A process that is ready when it has written its file."""
    flag = state / f"{name}.up"

    def prepare() -> None:
        flag.unlink(missing_ok=True)

    return Process(
        name=name,
        kind="role",
        log=state / f"{name}.log",
        prepare=prepare,
        command=lambda members: Command((sys.executable, "-c", code, str(flag), *members), state),
        ready=lambda member: flag.exists() and not (state / f"{member}.sick").exists(),
        **options,  # type: ignore[arg-type]
    )


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come true"
        await asyncio.sleep(0.02)


def seen(state: Path, name: str) -> report.ProcessReport:
    current = report.read_report(state)
    assert current is not None
    return next(process for process in current.processes if process.name == name)


def phase(state: Path) -> str | None:
    current = report.read_report(state)
    return current.state if current else None


async def test_starts_in_order_and_stops_in_reverse(state: Path) -> None:
    marks: list[tuple[str, str]] = []

    def watch(current: report.Report) -> None:
        for process in current.processes:
            mark = (process.name, process.health)
            if mark not in marks:
                marks.append(mark)

    stop = asyncio.Event()
    supervisor = Supervisor(
        state, [child(state, "store"), child(state, "app", after=("store",))], changed=watch
    )
    running = asyncio.create_task(supervisor.run(stop))
    await until(lambda: phase(state) == "ready")
    pids = [seen(state, name).pid for name in ("store", "app")]
    stop.set()
    await running
    assert marks.index(("store", "healthy")) < marks.index(("app", "starting"))
    assert marks.index(("app", "stopped")) < marks.index(("store", "stopping"))
    assert phase(state) == "stopped"
    assert not any(psutil.pid_exists(pid) for pid in pids if pid)


async def test_failed_start_names_the_process_with_its_last_lines_and_leaves_nothing(state: Path) -> None:
    broken = "import sys; [print('line', n) for n in range(30)]; sys.exit('cannot open the vault')"
    supervisor = Supervisor(state, [child(state, "good"), child(state, "broken", broken)])
    with pytest.raises(StartFailed, match="broken ended with exit code 1") as caught:
        await supervisor.run(asyncio.Event())
    lines = caught.value.lines
    assert len(lines) == 10
    assert lines[0] == "line 21"
    assert lines[-1] == "cannot open the vault"
    assert phase(state) == "failed"
    assert seen(state, "good").pid is None


async def test_start_that_takes_too_long_fails(state: Path) -> None:
    supervisor = Supervisor(state, [child(state, "slow", "import time; time.sleep(600)", start_timeout=0.5)])
    with pytest.raises(StartFailed, match="slow was not ready after"):
        await supervisor.run(asyncio.Event())


async def test_killed_child_is_started_again(state: Path) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(Supervisor(state, [child(state, "app")]).run(stop))
    await until(lambda: phase(state) == "ready")
    first = seen(state, "app").pid
    assert first
    os.kill(first, signal.SIGKILL)
    await until(
        lambda: seen(state, "app").pid not in (None, first) and seen(state, "app").health == "healthy"
    )
    assert seen(state, "app").restarts == 1
    stop.set()
    await running


async def test_child_that_ignores_the_request_to_stop_is_killed_with_its_own_children(state: Path) -> None:
    stubborn = textwrap.dedent("""
        import pathlib, signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        grandchild = subprocess.Popen(["sleep", "600"])
        pathlib.Path(sys.argv[1]).write_text(str(grandchild.pid))
        time.sleep(600)
    """)
    stop = asyncio.Event()
    process = child(state, "stubborn", stubborn, stop_timeout=0.3)
    running = asyncio.create_task(Supervisor(state, [process]).run(stop))
    await until(lambda: phase(state) == "ready")
    pid, grandchild = seen(state, "stubborn").pid, int((state / "stubborn.up").read_text())
    stop.set()
    await running
    assert pid
    assert not psutil.pid_exists(pid)
    await until(lambda: gone(grandchild))


async def test_switched_members_stop_and_start(state: Path) -> None:
    process = child(state, "commerce", members=("order", "search"))
    stop = asyncio.Event()
    running = asyncio.create_task(Supervisor(state, [process]).run(stop))
    await until(lambda: phase(state) == "ready")

    def apply(**change: set[str]) -> None:
        switch(state, **change)
        os.kill(os.getpid(), signal.SIGUSR1)

    apply(off={"search"})
    await until(lambda: healths(state) == {"order": "healthy", "search": "stopped"})
    arguments = psutil.Process(seen(state, "commerce").pid).cmdline()
    assert arguments[-1] == "order"
    apply(off={"order"})
    await until(lambda: healths(state) == {"order": "stopped", "search": "stopped"})
    assert seen(state, "commerce").pid is None
    apply(on={"order", "search"})
    await until(lambda: healths(state) == {"order": "healthy", "search": "healthy"})
    assert seen(state, "commerce").restarts == 0
    stop.set()
    await running


async def test_unanswered_probe_is_reported_and_not_restarted(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "PROBE_EVERY", 0.05)
    stop = asyncio.Event()
    process = child(state, "commerce", members=("order", "search"))
    running = asyncio.create_task(Supervisor(state, [process]).run(stop))
    await until(lambda: phase(state) == "ready")
    (state / "search.sick").touch()
    await until(lambda: healths(state) == {"order": "healthy", "search": "unhealthy"})
    assert seen(state, "commerce").health == "unhealthy"
    assert seen(state, "commerce").restarts == 0
    (state / "search.sick").unlink()
    await until(lambda: healths(state) == {"order": "healthy", "search": "healthy"})
    stop.set()
    await running


def test_killed_supervisor_leaves_no_children(state: Path) -> None:
    script = textwrap.dedent(f"""
        import asyncio, sys
        from pathlib import Path
        from opsplane.embedded import Command, Process, Supervisor, lock
        state = Path({str(state)!r})
        flag = state / "app.up"
        process = Process(name="app", kind="role", log=state / "app.log",
            command=lambda _: Command((sys.executable, "-c", {SERVE!r}, str(flag)), state),
            ready=lambda _: flag.exists())
        with lock.held(state):
            asyncio.run(Supervisor(state, [process]).run())
    """)
    supervisor = subprocess.Popen([sys.executable, "-c", script])
    asyncio.run(until(lambda: phase(state) == "ready"))
    pid = seen(state, "app").pid
    assert pid
    assert lock.supervisor_pid(state) == supervisor.pid
    with pytest.raises(lock.AlreadyRunning, match=str(supervisor.pid)), lock.held(state):
        pass
    supervisor.kill()
    supervisor.wait()
    asyncio.run(until(lambda: gone(pid)))
    assert lock.supervisor_pid(state) is None


def test_leftover_of_a_killed_supervisor_is_ended_and_a_reused_pid_is_not(state: Path) -> None:
    left = subprocess.Popen(["sleep", "600"], start_new_session=True)
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)
    entry = report.ProcessReport(
        name="x", kind="role", title="x", pid=left.pid, started=psutil.Process(left.pid).create_time(),
        health="healthy", since="", restarts=0, seconds=None, place="", log="",
    )  # fmt: skip
    reused = report.ProcessReport(
        name="y", kind="role", title="y", pid=other.pid, started=1.0,
        health="healthy", since="", restarts=0, seconds=None, place="", log="",
    )  # fmt: skip
    report.write_report(state, report.Report(1, 1, "ready", "", None, [entry, reused]))
    kill_leftovers(state)
    assert gone(left.pid)
    left.wait()
    assert other.poll() is None
    other.kill()
    other.wait()


def healths(state: Path) -> dict[str, str]:
    return {role.name: role.health for role in seen(state, "commerce").roles}


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_program_that_cannot_be_executed_is_told(state: Path) -> None:
    process = Process(
        name="absent",
        kind="engine",
        log=state / "absent.log",
        command=lambda _: Command(("/nowhere/absent",), state),
        ready=lambda _: True,
    )
    with pytest.raises(StartFailed, match="absent could not be started"):
        await Supervisor(state, [process]).run(asyncio.Event())
