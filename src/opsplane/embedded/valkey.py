from __future__ import annotations

import signal
import socket
from collections.abc import Mapping
from pathlib import Path

from opsplane.embedded import binaries
from opsplane.embedded.account import own_directory, own_file, unprivileged
from opsplane.embedded.child import HERE, Child, Command, last_lines
from opsplane.embedded.ports import LOOPBACK
from opsplane.errors import OpsplaneError

USERS: Mapping[str, str] = {
    # the events role: scripts and every stream, but nothing that reconfigures or empties the server
    "events": "~* &* +@all -@admin -@dangerous +info +keys",
    # services: streams and plain data, no scripts
    "service": "~* &* +@all -@admin -@dangerous -@scripting +info",
    # the operator's commands and the tests
    "admin": "~* &* +@all",
}


class ValkeyFailed(OpsplaneError):
    """The embedded Valkey could not be started."""


class Valkey:
    """An embedded Valkey: append-only data directory, loopback port, unix socket, one user per purpose."""

    name = "valkey"

    def __init__(
        self,
        data: Path,
        *,
        port: int,
        passwords: Mapping[str, str],
        unix_socket: Path | None = None,
        log: Path,
    ) -> None:
        self.data = data
        self.port = port
        self.passwords = dict(passwords)
        self.unix_socket = unix_socket
        self.log = log
        self.account = unprivileged()
        self.child: Child | None = None

    def url(self, user: str) -> str:
        """The URL for `events`, `service` or `admin`."""
        return f"redis://{user}:{self.passwords[user]}@{LOOPBACK}:{self.port}/0"

    def prepare(self) -> None:
        """Create the data directory, write the server's settings and users."""
        own_directory(self.data, self.account)
        if self.unix_socket is not None:
            own_directory(self.unix_socket.parent, self.account)
        users = [f"user {name} on >{self.passwords[name]} {rules}" for name, rules in USERS.items()]
        own_file(self.data / "users.acl", "\n".join(["user default off", *users, ""]), self.account)
        own_file(self.data / "valkey.conf", self._configuration(), self.account)

    def command(self) -> Command:
        """How the server is run; SIGTERM writes what is not on disk yet."""
        return Command(
            argv=(str(binaries.valkey_server()), f"{HERE}/valkey.conf"),
            directory=self.data,
            account=self.account,
            by_descriptor=True,
            orphan_signal=signal.SIGTERM,
        )

    def ready(self) -> bool:
        """Whether the server has loaded its data and answers."""
        greeting = f"AUTH admin {self.passwords['admin']}\r\nPING\r\n".encode()
        try:
            with socket.create_connection((LOOPBACK, self.port), 2.0) as connection:
                connection.sendall(greeting)
                with connection.makefile("rb") as answers:
                    return [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        except OSError:
            return False

    def start(self, timeout: float = 30.0) -> None:
        """Prepare and start the server, return when it answers."""
        self.prepare()
        self.child = Child(self.command(), self.log)
        if not self.child.wait_until(self.ready, timeout):
            self.child.kill()
            lines = "\n".join(last_lines(self.log))
            raise ValkeyFailed(f"Valkey in {self.data} did not start. Its last log lines:\n{lines}")

    def stop(self, deadline: float = 10.0) -> None:
        """Shut the server down cleanly."""
        if self.child is not None:
            self.child.stop(deadline)
            self.child = None

    def _configuration(self) -> str:
        lines = [
            "# Written by opsplane at every start.",
            f"bind {LOOPBACK}",
            f"port {self.port}",
            "dir .",
            f"aclfile {HERE}/users.acl",
            "protected-mode yes",
            "daemonize no",
            "databases 1",
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",
            "tcp-keepalive 60",
            "loglevel notice",
            'logfile ""',
            "enable-debug-command no",
        ]
        if self.unix_socket is not None:
            lines += [f"unixsocket {self.unix_socket}", "unixsocketperm 770"]
        return "\n".join([*lines, ""])
