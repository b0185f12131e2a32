"""An installation started by the command line, for tests that use it as its users do."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from opsplane import embedded
from opsplane.embedded.ports import free_ports

TEA = {
    "sku": "tea-1", "name": "Tee – 茶 – شاي", "category": "food",
    "price": {"amount": "2.50", "currency": "EUR"}, "stock": 5,
}  # fmt: skip


class Platform:
    """A running installation and the command line that works on it."""

    def __init__(self, state: Path, port: int) -> None:
        self.state, self.url, self.port = state, f"http://127.0.0.1:{port}", port

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        finished = subprocess.run(
            [sys.executable, "-m", "opsplane", *arguments, "--state", str(self.state)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert not check or finished.returncode == 0, finished.stderr
        return finished

    def status(self) -> dict[str, dict[str, Any]]:
        services = json.loads(self.run("status", "-o", "json").stdout)["services"]
        return {service["name"]: service for service in services}

    def token(self, role: str) -> str:
        return self.run("token", "issue", "--role", role, "--sub", "alice").stdout.strip()

    def store(self) -> redis.Redis:
        document = json.loads((self.state / "installation.json").read_text())
        return redis.Redis.from_url(document["broker"]["admin"])


@contextmanager
def started(state: Path) -> Iterator[Platform]:
    """A platform in `state`, stopped and removed afterwards."""
    platform = Platform(state, free_ports(1)[0])
    platform.run("up", "--detach", "--port", str(platform.port))
    try:
        yield platform
    finally:
        platform.run("down")
        embedded.remove(state)


def eventually(question: Any, seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return answer
