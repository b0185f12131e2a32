from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from opsplane import config, embedded
from opsplane.cli.output import note
from opsplane.cli.progress import here, state_option
from opsplane.errors import Unavailable

app = cyclopts.App(name="down", help="Stop everything, keep the data.")

PATIENCE = 90.0


@app.default
def down(
    *,
    state: Annotated[
        str | None, Parameter(help="State directory (or OPSPLANE_STATE; default .opsplane).")
    ] = None,
    only: Annotated[
        list[str] | None,
        Parameter(consume_multiple=True, negative="", help="Stop just these roles or processes."),
    ] = None,
) -> int:
    """Stop everything gracefully, or what `--only` names until `up`; the data stays."""
    directory = config.state_directory(state)
    pid, report = embedded.supervisor_pid(directory), embedded.read_report(directory)
    names = embedded.named(only or [], embedded.ENGINES, report.layout() if report else {})
    if pid is None:
        note(f"Nothing runs in {here(directory)}.")
        return 0
    if names:
        embedded.switch(directory, off=names)
        embedded.wait_for(directory, names, "stopped")
        print(f"✓ stopped {' · '.join(names)}")
        return 0
    os.kill(pid, signal.SIGTERM)
    _wait_until_gone(directory, pid)
    print("✓ stopped; the data stays")
    return 0


def _wait_until_gone(state: Path, pid: int) -> None:
    end = time.monotonic() + PATIENCE
    while embedded.supervisor_pid(state) == pid:
        if time.monotonic() > end:
            raise Unavailable(
                f"The supervisor (pid {pid}) did not stop within {PATIENCE:.0f} seconds.",
                remedy=f"See what still runs: opsplane status{state_option(state)}; then: kill -9 {pid}",
            )
        time.sleep(0.03)
