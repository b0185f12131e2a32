from __future__ import annotations

import difflib
import os
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from opsplane.embedded import lock, report
from opsplane.embedded.child import last_lines
from opsplane.embedded.report import Health, ProcessReport
from opsplane.errors import InvalidInput, OpsplaneError, Unavailable

SWITCHES = "switched-off.json"


class StartFailed(OpsplaneError):
    """A process did not become ready; `lines` are the last ones of its log."""


def switched_off(state: Path) -> set[str]:
    """The names of processes and roles that should not run."""
    path = state / "run" / SWITCHES
    return set(msgspec.json.decode(path.read_bytes(), type=list[str])) if path.is_file() else set()


def switch(state: Path, *, on: Collection[str] = (), off: Collection[str] = ()) -> None:
    """Change which names should run and tell the supervisor, if there is one."""
    names = (switched_off(state) - set(on)) | set(off)
    path = state / "run" / SWITCHES
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{SWITCHES}.new")
    draft.write_bytes(msgspec.json.encode(sorted(names)))
    draft.replace(path)
    pid = lock.supervisor_pid(state)
    if pid not in (None, os.getpid()):
        os.kill(pid, signal.SIGUSR1)


def named(names: Sequence[str], engines: Sequence[str], roles: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The switches that `names` (engines, roles, or processes for all their roles) stand for.

    Raises `InvalidInput` with the nearest known name for each unknown one.
    """
    single = (*engines, *(role for members in roles.values() for role in members))
    known: dict[str, tuple[str, ...]] = {**roles, **{name: (name,) for name in single}}
    violations = []
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            violations.append(
                {"name": name, "message": f"did you mean {near[0]}?" if near else "is not known"}
            )
    if violations:
        raise InvalidInput(
            f"There is no role or process {', '.join(one['name'] for one in violations)}.",
            violations=violations,
            remedy=f"Known are: {', '.join(known)}",
        )
    return list(dict.fromkeys(switch for name in names for switch in known[name]))


def wait_for(state: Path, names: Collection[str], health: Health, seconds: float = 60.0) -> None:
    """Return when every named engine and role has this health; raises `StartFailed` when that cannot be."""
    end = time.monotonic() + seconds
    while True:
        current = report.read_report(state)
        processes = current.processes if current else []
        healths = {
            name: (one_health, process) for process in processes for name, one_health in _healths(process)
        }
        if all(name in healths and healths[name][0] == health for name in names):
            return
        for name in names:
            if health == "healthy" and name in healths and healths[name][0] == "restarting":
                log = Path(healths[name][1].log)
                raise StartFailed(f"{name} does not start.", remedy=f"See {log}", lines=last_lines(log))
        if time.monotonic() > end or lock.supervisor_pid(state) is None:
            raise Unavailable(
                f"{', '.join(names)} did not become {health}.",
                remedy=f"See: opsplane status --state {state}",
            )
        time.sleep(0.03)


def _healths(process: ProcessReport) -> list[tuple[str, Health]]:
    return [(role.name, role.health) for role in process.roles] or [(process.name, process.health)]
