"""The worker of `examples/worker.mjs` as a process of Node."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "worker.mjs"
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed: apt-get install nodejs")


class NodeWorker:
    """A process of the example; what it said is in its file, `path/NAME.log`."""

    def __init__(self, url: str, token: str, path: Path, name: str, **settings: Any) -> None:
        self.path = path / f"{name}.log"
        given = {"OPSPLANE_URL": url, "OPSPLANE_TOKEN": token, "WORKER_NAME": name, "LEASE_SECONDS": "5"}
        given |= {key: str(value) for key, value in settings.items()}
        with self.path.open("wb") as log:
            self.process = subprocess.Popen(
                [NODE or "node", str(EXAMPLE)], env={**os.environ, **given}, stdout=log, stderr=log
            )

    def said(self, word: str) -> list[str]:
        """The ids of the tasks it said the word about."""
        return re.findall(rf"^{word} (\S+)", self.path.read_text(), re.MULTILINE)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        """Kill it, if it still runs."""
        self.process.kill()
        self.process.wait()
