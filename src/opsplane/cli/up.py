from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import cyclopts
from cyclopts import Parameter

from opsplane import config, embedded
from opsplane.cli.output import note
from opsplane.cli.progress import Progress, here, state_option
from opsplane.errors import Conflict

app = cyclopts.App(name="up", help="Start everything, print what to try next.")


@app.default
def up(
    *,
    state: Annotated[
        str | None, Parameter(help="State directory (or OPSPLANE_STATE; default .opsplane).")
    ] = None,
    port: Annotated[int | None, Parameter(help="The gateway's port; default as before, first 8080.")] = None,
    detach: Annotated[
        bool, Parameter(negative="", help="Return when ready; exit 1 with the reason when not.")
    ] = False,
    only: Annotated[
        list[str] | None,
        Parameter(consume_multiple=True, negative="", help="Start just these roles or processes."),
    ] = None,
) -> int:
    """Start everything, or what `--only` names; in a running installation, what is switched off."""
    directory = config.state_directory(state)
    embedded.examine(directory)
    report = embedded.read_report(directory)
    if report is not None and embedded.supervisor_pid(directory) is not None:
        return _resume(directory, port, embedded.named(only or [], embedded.ENGINES, report.layout()))
    from opsplane.app import PROCESSES

    names = embedded.named(only or [], embedded.ENGINES, PROCESSES)
    return _detached(directory, port, names) if detach else _foreground(directory, port, names)


def _foreground(state: Path, port: int | None, only: list[str]) -> int:
    """Be the supervisor until a signal stops it."""
    from opsplane.app import PROCESSES

    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # `--only` elsewhere may come before we listen
    with embedded.held(state):
        document = _prepared(state, port, only)
        processes = embedded.processes(document, PROCESSES, _bootstrap)
        progress = Progress(state, document["gateway"]["public_url"])
        asyncio.run(embedded.Supervisor(state, processes, changed=progress.show).run())
    note("Stopped.")
    return 0


def _detached(state: Path, port: int | None, only: list[str]) -> int:
    """Start a supervisor in a session of its own, return when it is ready or has failed."""
    with embedded.held(state):  # a mistake is better told here than in a log
        document = _prepared(state, port, only)
    log = state / "logs" / "supervisor.log"
    argv = [sys.executable, "-P", "-m", "opsplane", "up", "--state", str(state)]
    argv += ["--only", *only] if only else []
    with log.open("wb") as output:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        report = _follow(state, child, Progress(state, document["gateway"]["public_url"]))
    except KeyboardInterrupt:
        child.terminate()
        raise
    if report is not None and report.state == "ready":
        return 0
    if report is None or report.failure is None:
        fact = "The supervisor ended before everything was ready."
        raise embedded.StartFailed(fact, remedy=f"See {here(log)}", lines=embedded.last_lines(log))
    failure = report.failure
    raise embedded.StartFailed(failure.message, remedy=failure.remedy or None, lines=failure.lines)


def _follow(state: Path, child: subprocess.Popen[bytes], progress: Progress) -> embedded.Report | None:
    """The report in which the child is ready or has ended, None when it never wrote one."""
    while True:
        ended = child.poll() is not None
        report = embedded.read_report(state)
        mine = report if report is not None and report.pid == child.pid else None
        if mine is not None:
            progress.show(mine)
        if ended or (mine is not None and mine.state == "ready"):
            return mine
        time.sleep(0.03)


def _resume(state: Path, port: int | None, only: list[str]) -> int:
    """Switch on what is off in a running installation, return when it is healthy."""
    settings = config.load(state)
    if port is not None and port != settings.engines.envoy.port:
        raise Conflict(
            f"The installation in {here(state)} runs already, on port {settings.engines.envoy.port}.",
            remedy=f"Stop it first: opsplane down{state_option(state)}",
        )
    names = only or sorted(embedded.switched_off(state))
    embedded.switch(state, on=names)
    embedded.wait_for(state, names, "healthy")
    print(f"✓ {' · '.join(names)}" if names else f"Runs already: {settings.gateway.public_url}")
    return 0


def _bootstrap(directory: Path, admin_socket: Path) -> dict[str, Any]:
    """What Envoy starts with; the files it names are there afterwards."""
    from opsplane.gateway import bootstrap, write_empty

    write_empty(directory)
    return bootstrap(directory, admin_socket)


def _prepared(state: Path, port: int | None, only: list[str]) -> dict[str, Any]:
    """The installation made ready, with everything switched off that `only` does not need."""
    from opsplane.app import PROCESSES, default_events_yaml, default_gateway_yaml

    document = embedded.prepare(state, port, default_gateway_yaml(), default_events_yaml())
    everything = embedded.named([*embedded.ENGINES, *PROCESSES], embedded.ENGINES, PROCESSES)
    needed = set(only) if set(only) <= set(embedded.ENGINES) else {*only, *embedded.ENGINES}
    embedded.switch(state, on=everything, off=set(everything) - needed if only else ())
    return document
