from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from opsplane.errors import Conflict

FILE = "supervisor.lock"


class AlreadyRunning(Conflict):
    """Another supervisor runs the installation."""


@contextlib.contextmanager
def held(state: Path) -> Iterator[None]:
    """Be the only supervisor of `state` while inside; raises `AlreadyRunning` when there is one."""
    folder = state / "run"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _locked(descriptor, patience=0.5):
            raise AlreadyRunning(
                f"The installation in {state} already runs (supervisor pid {_pid(descriptor) or 'unknown'}).",
                remedy=f"See it with: opsplane status --state {state}",
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def supervisor_pid(state: Path) -> int | None:
    """The pid of the supervisor that runs the installation in `state`, None when none does."""
    try:
        descriptor = os.open(state / "run" / FILE, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def _locked(descriptor: int, patience: float) -> bool:
    """Whether we got the lock; a look by `supervisor_pid` holds it for an instant, so we try for a while."""
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(0.02)
        else:
            return True


def _pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 20, 0)
    return int(text) if text else None
