from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from opsplane.embedded.account import Account, own_directory, reachable, unprivileged
from opsplane.errors import Denied

SHARED = Path("/var/lib/opsplane")
LONGEST_SOCKET_DIRECTORY = 107 - len("/.s.PGSQL.65535.lock")


@dataclass(frozen=True)
class Places:
    """Where the parts of one installation lie on disk.

    Everything is below `state`, except that what an engine must reach by path (sockets, Envoy's files) is
    in `outside` when its account may not enter the directories above `state`, or the path is too long
    for a unix socket.
    """

    state: Path
    sockets: Path
    gateway: Path
    outside: Path

    @classmethod
    def of(cls, state: Path, account: Account | None) -> Places:
        """The places of the installation in `state` when engines run as `account`."""
        outside = _outside(state, account)
        enters = reachable(state, account)
        short = len(os.fsencode(state / "run" / "sockets")) <= LONGEST_SOCKET_DIRECTORY
        return cls(
            state=state,
            sockets=(state / "run" if enters and short else outside) / "sockets",
            gateway=(state if enters else outside) / "gateway",
            outside=outside,
        )

    def path(self, *names: str) -> Path:
        """A path below the state directory."""
        return self.state.joinpath(*names)

    def create(self, account: Account | None) -> None:
        """Make every directory, private, but enterable by `account` where it has to pass."""
        if account is not None and self._outside_used():
            shared_directory(SHARED)
        for path in (self.state, self.path("run"), *self._outside_used()):
            path.mkdir(parents=True, exist_ok=True)
            _refuse_foreign(path)
            path.chmod(0o711 if account else 0o700)
        for name in ("logs", "keys", "objects"):
            own_directory(self.path(name), None)
        own_directory(self.sockets, account)
        self.gateway.mkdir(exist_ok=True)
        self.gateway.chmod(0o750)
        if account is not None:
            os.chown(self.gateway, os.geteuid(), account.gid)

    def _outside_used(self) -> list[Path]:
        return [self.outside] if self.outside in (self.sockets.parent, self.gateway.parent) else []


def shared_directory(path: Path) -> Path:
    """`path`, created where missing, which everybody may enter whatever our umask is."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)
    return path


def remove(state: Path) -> None:
    """Delete everything of the installation in `state`."""
    places = Places.of(state, unprivileged())
    for path in (places.state, places.outside):
        if path.is_dir():
            shutil.rmtree(path)


def _outside(state: Path, account: Account | None) -> Path:
    digest = hashlib.sha256(os.fsencode(state)).hexdigest()[:12]
    if account is not None:
        return SHARED / f"state-{digest}"
    return Path(tempfile.gettempdir()) / f"opsplane-{os.geteuid()}-{digest}"


def _refuse_foreign(path: Path) -> None:
    if path.is_symlink() or path.stat().st_uid != os.geteuid():
        raise Denied(
            f"{path} belongs to another user, so an installation there could be read or changed by them.",
            remedy="Name a directory of your own with --state.",
        )
