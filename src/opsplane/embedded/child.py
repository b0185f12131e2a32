from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from opsplane.embedded.account import Account

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
HERE = (
    "/proc/self/cwd"  # a child's directory as it sees it itself, even where it may not enter the ones above
)
KEPT_LOG_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Command:
    """What a child process runs, as whom, where, and which signals end it.

    `stop_signal` asks it to end gracefully; `orphan_signal` is what the kernel sends it when we die.
    The binary is opened by us and executed by descriptor, so `account` needs no way to its directory.
    """

    argv: tuple[str, ...]
    directory: Path
    account: Account | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    by_descriptor: bool = False
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL


class Child:
    """One running process in a session of its own, which does not outlive us.

    Start it from the main thread: the kernel ties the child's life to the thread that made it.
    """

    def __init__(self, command: Command, log: Path) -> None:
        self.command = command
        self.log = log
        self._popen = _spawn(command, log)
        self.pid = self._popen.pid
        self.started = psutil.Process(self.pid).create_time()

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal, None while it runs."""
        return self._popen.poll()

    async def ended(self) -> None:
        """Return when the process has ended."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(descriptor, over.set)
        try:
            await over.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    def signal(self, number: signal.Signals) -> None:
        """Send `number` to the process, if it still runs."""
        if self.exit_code is None:
            self._popen.send_signal(number)

    def kill(self) -> None:
        """End the process and everything it started in its group, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def stop(self, deadline: float = 10.0) -> bool:
        """Ask the process to end, kill its group after `deadline` seconds; whether it ended by itself."""
        self.signal(self.command.stop_signal)
        try:
            self._popen.wait(deadline)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        self.kill()
        return True

    def wait_until(self, ready: Callable[[], bool], timeout: float, interval: float = 0.02) -> bool:
        """Whether `ready()` came true before the process ended or `timeout` seconds passed."""
        end = time.monotonic() + timeout
        while self.exit_code is None and time.monotonic() < end:
            if ready():
                return True
            time.sleep(interval)
        return False


def size(log: Path) -> int:
    """How long a log file is now."""
    return log.stat().st_size if log.is_file() else 0


def last_lines(log: Path, count: int = 10, since: int = 0) -> list[str]:
    """The last `count` lines of a log file, of what it got after byte `since`; none when there is no file."""
    if not log.is_file():
        return []
    length = size(log)
    with log.open("rb") as file:
        file.seek(max(since if since <= length else 0, length - 64 * 1024))
        return file.read().decode(errors="replace").splitlines()[-count:]


def _spawn(command: Command, log: Path) -> subprocess.Popen[bytes]:
    account = command.account
    with contextlib.ExitStack() as files:
        output = os.open(_rotated(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        files.callback(os.close, output)
        executable = command.argv[0]
        passed: tuple[int, ...] = ()
        if command.by_descriptor:
            binary = os.open(executable, os.O_RDONLY | os.O_CLOEXEC)
            files.callback(os.close, binary)
            executable = f"/proc/self/fd/{binary}"
            passed = (binary,)
        return subprocess.Popen(
            command.argv,
            executable=executable,
            pass_fds=passed,
            cwd=command.directory,
            env={**_environment(account), **command.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            preexec_fn=_tied_to_parent(command.orphan_signal),  # noqa: PLW1509 - it makes two system calls
        )


def _environment(account: Account | None) -> dict[str, str]:
    """Ours, except that a child of another account gets nothing but what any program needs."""
    if account is None:
        return dict(os.environ)
    return {
        name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR") if name in os.environ
    }


def _tied_to_parent(orphan_signal: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()

    def tie() -> None:
        _LIBC.prctl(PR_SET_PDEATHSIG, int(orphan_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def _rotated(log: Path) -> Path:
    if log.is_file() and log.stat().st_size > KEPT_LOG_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))
    return log
