from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from opsplane.embedded import binaries
from opsplane.embedded.account import own_file, unprivileged
from opsplane.embedded.child import HERE, Child, Command, last_lines
from opsplane.embedded.ports import LOOPBACK
from opsplane.embedded.probes import answers_over_unix, listens
from opsplane.errors import OpsplaneError

Bootstrap = Callable[[Path, Path], Mapping[str, Any]]


class EnvoyFailed(OpsplaneError):
    """The embedded Envoy could not be started."""


class Envoy:
    """An embedded Envoy that takes its configuration from the files in `directory`.

    Its admin interface is the unix socket `admin_socket`; `port` is the public one it should open;
    `bootstrap(directory, admin_socket)` makes the configuration it starts with.
    """

    name = "envoy"

    def __init__(
        self, directory: Path, *, admin_socket: Path, port: int, log: Path, bootstrap: Bootstrap
    ) -> None:
        self.directory = directory
        self.admin_socket = admin_socket
        self.port = port
        self.log = log
        self.bootstrap = bootstrap
        self.account = unprivileged()
        self.child: Child | None = None

    def prepare(self) -> None:
        """Write the bootstrap configuration, remove the socket a killed Envoy left."""
        self.admin_socket.unlink(missing_ok=True)
        document = self.bootstrap(self.directory, self.admin_socket)
        own_file(self.directory / "bootstrap.json", json.dumps(document, indent=2), self.account)

    def command(self) -> Command:
        """How Envoy is run: few threads, no shared memory with other instances."""
        threads = min(4, os.cpu_count() or 1)
        options = ("--disable-hot-restart", "--concurrency", str(threads), "--log-level", "warning")
        return Command(
            argv=(str(binaries.envoy()), "-c", f"{HERE}/bootstrap.json", *options),
            directory=self.directory,
            account=self.account,
            by_descriptor=True,
        )

    def live(self) -> bool:
        """Whether Envoy has its configuration and serves."""
        return answers_over_unix(self.admin_socket, "/ready")

    def ready(self) -> bool:
        """Whether Envoy serves the public port."""
        return self.live() and listens(LOOPBACK, self.port)

    def start(self, timeout: float = 15.0) -> None:
        """Prepare and start Envoy, return when it serves whatever its files say."""
        self.prepare()
        self.child = Child(self.command(), self.log)
        if not self.child.wait_until(self.live, timeout):
            self.child.kill()
            lines = "\n".join(last_lines(self.log))
            raise EnvoyFailed(f"Envoy in {self.directory} did not start. Its last log lines:\n{lines}")

    def stop(self, deadline: float = 10.0) -> None:
        """Stop Envoy."""
        if self.child is not None:
            self.child.stop(deadline)
            self.child = None
