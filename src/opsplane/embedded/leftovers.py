from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil

from opsplane.embedded import report


def kill_leftovers(state: Path) -> None:
    """End what a supervisor that was killed may have left: the very processes its last report names."""
    last = report.read_report(state)
    for process in last.processes if last else []:
        if process.pid is None or process.started is None:
            continue
        try:
            if abs(psutil.Process(process.pid).create_time() - process.started) < 0.01:
                os.killpg(process.pid, signal.SIGKILL)
                psutil.Process(process.pid).wait(10)
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
