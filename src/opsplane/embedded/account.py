from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import NamedTuple

from opsplane.errors import OpsplaneError

CANDIDATES = ("opsplane", "nobody")


class NoUnprivilegedAccount(OpsplaneError):
    """The operator is root and the machine has no account the engines could run as."""


class Account(NamedTuple):
    """A user of the machine that an engine runs as."""

    name: str
    uid: int
    gid: int


def unprivileged() -> Account | None:
    """The account engines drop to: `opsplane` where it exists, else `nobody`; None unless we are root."""
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise NoUnprivilegedAccount(
        "Engines do not run as root, and there is no account `opsplane` or `nobody` to run them as.",
        remedy="Create one: useradd --system --no-create-home opsplane",
    )


def reachable(path: Path, account: Account | None) -> bool:
    """Whether `account` may enter every directory above `path` that exists (always, when we do not change accounts)."""
    if account is None:
        return True
    return all(_may_enter(parent.stat(), account) for parent in path.resolve().parents if parent.exists())


def _may_enter(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & 0o100)
    if status.st_gid == account.gid:
        return bool(status.st_mode & 0o010)
    return bool(status.st_mode & 0o001)


def own_directory(path: Path, account: Account | None, mode: int = 0o700) -> Path:
    """`path`, created where missing, belonging to `account` (to us without one), with `mode`."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    if account is not None:
        os.chown(path, account.uid, account.gid)
    return path


def own_file(path: Path, text: str, account: Account | None, mode: int = 0o600) -> Path:
    """`path` with `text`, written in one step, belonging to `account` (to us without one), with `mode`."""
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(file.fileno(), mode)
        if account is not None:
            os.fchown(file.fileno(), account.uid, account.gid)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return path
