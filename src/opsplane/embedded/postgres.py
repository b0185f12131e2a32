from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from opsplane.embedded.account import own_directory, own_file, unprivileged
from opsplane.embedded.binaries import reachable_postgres_bin
from opsplane.embedded.child import HERE, Child, Command, last_lines
from opsplane.embedded.ports import LOOPBACK
from opsplane.errors import OpsplaneError


class PostgresFailed(OpsplaneError):
    """The embedded PostgreSQL could not be created or started."""


class Postgres:
    """An embedded PostgreSQL: a data directory, a loopback port and a unix socket, passwords everywhere.

    `data` belongs to the account the server runs as; `socket` is the directory of its unix socket.
    """

    name = "postgres"

    def __init__(
        self,
        data: Path,
        *,
        port: int,
        password: str,
        socket: Path | None = None,
        log: Path,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.data = data
        self.port = port
        self.password = password
        self.socket = socket
        self.log = log
        self.settings = dict(settings or {})
        self.account = unprivileged()
        self.child: Child | None = None

    @property
    def superuser_dsn(self) -> str:
        """The URL of the superuser's own database."""
        return self.dsn("postgres", "postgres", self.password)

    def dsn(self, database: str, user: str, password: str) -> str:
        """The URL of `database` for `user`."""
        return f"postgresql://{user}:{password}@{LOOPBACK}:{self.port}/{database}"

    def prepare(self) -> None:
        """Create the cluster where it is missing, write the server's settings."""
        if self.socket is not None:
            own_directory(self.socket, self.account)
        if not (self.data / "PG_VERSION").is_file():
            self._initialize()
        own_directory(self.data, self.account)
        own_file(self.data / "postgresql.conf", self._configuration(), self.account)

    def command(self) -> Command:
        """How the server is run; SIGINT disconnects clients and shuts down cleanly."""
        return Command(
            argv=(str(reachable_postgres_bin(self.account) / "postgres"), "-D", self._place),
            directory=self.data,
            account=self.account,
            stop_signal=signal.SIGINT,
            orphan_signal=signal.SIGQUIT,
        )

    def ready(self) -> bool:
        """Whether the server answers a query."""
        try:
            with psycopg.connect(self.superuser_dsn, connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def start(self, timeout: float = 30.0) -> None:
        """Prepare and start the server, return when it answers."""
        self.prepare()
        self.child = Child(self.command(), self.log)
        if not self.child.wait_until(self.ready, timeout):
            self.child.kill()
            lines = "\n".join(last_lines(self.log))
            raise PostgresFailed(f"PostgreSQL in {self.data} did not start. Its last log lines:\n{lines}")

    def stop(self, deadline: float = 20.0) -> None:
        """Shut the server down cleanly."""
        if self.child is not None:
            self.child.stop(deadline)
            self.child = None

    def provision(self, databases: Mapping[str, str]) -> None:
        """Make every database with an owner role of its name and the given password; can be repeated.

        The owner may take on the role `<name>_viewer`, under which row security decides what it sees.
        """
        with psycopg.connect(self.superuser_dsn, autocommit=True) as connection:
            rows = connection.execute("SELECT datname FROM pg_database").fetchall()
            present = {name for (name,) in rows}
            roles = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles").fetchall()}
            for name, password in databases.items():
                role, verb = sql.Identifier(name), sql.SQL("ALTER" if name in roles else "CREATE")
                connection.execute(
                    sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, role, sql.Literal(password))
                )
                viewer = f"{name}_viewer"
                if viewer not in roles:
                    connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(viewer)))
                connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(viewer), role))
                if name not in present:
                    connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
                    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(role))

    @property
    def _place(self) -> str:
        return HERE if self.account else str(self.data)

    def _initialize(self) -> None:
        """Create the cluster beside its place and move it there when it is whole and on disk."""
        draft = self.data.with_name(f"{self.data.name}.creating")
        if draft.exists():
            shutil.rmtree(draft)
        own_directory(draft, self.account)
        place = HERE if self.account else str(draft)
        argv = (str(reachable_postgres_bin(self.account) / "initdb"), "-D", place, "-U", "postgres")
        options = ("-E", "UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        safety = ("-A", "scram-sha-256", "--pwfile=/dev/stdin", "--no-instructions", "--data-checksums")
        with tempfile.TemporaryFile("w+") as password:
            password.write(self.password)
            password.seek(0)
            if self.account is not None:  # it opens /dev/stdin once more
                os.fchown(password.fileno(), self.account.uid, self.account.gid)
            done = subprocess.run(
                (*argv, *options, *safety),
                check=False,
                cwd=draft,
                stdin=password,
                capture_output=True,
                text=True,
                user=self.account.uid if self.account else None,
                group=self.account.gid if self.account else None,
                extra_groups=[] if self.account else None,
            )
        if done.returncode != 0:
            raise PostgresFailed(
                f"PostgreSQL could not create its data in {self.data}: {done.stderr.strip()}"
            )
        draft.replace(self.data)

    def _configuration(self) -> str:
        memory = psutil.virtual_memory().total // 2**20
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": str(self.socket or ""),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "password_encryption": "scram-sha-256",
            "shared_buffers": f"{min(1024, max(64, memory // 16))}MB",
            "effective_cache_size": f"{max(256, memory // 2)}MB",
            "fsync": "on",
            "synchronous_commit": "on",
            "max_wal_size": "2GB",
            "checkpoint_timeout": "5min",
            "client_connection_check_interval": "500ms",
            "idle_in_transaction_session_timeout": "10min",
            "jit": "off",
            "random_page_cost": "1.1",
            "autovacuum_naptime": "10s",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_destination": "stderr",
            "logging_collector": "off",
            "log_line_prefix": "%m [%p] %q%u@%d ",
            "log_min_messages": "warning",
            "log_min_error_statement": "panic",
            **self.settings,
        }
        lines = [f"{name} = '{value}'" for name, value in settings.items()]
        return "\n".join(
            ["# Written by opsplane at every start; ALTER SYSTEM keeps settings of your own.", *lines, ""]
        )
