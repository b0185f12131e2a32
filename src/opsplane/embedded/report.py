from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

Health = Literal["waiting", "starting", "healthy", "unhealthy", "restarting", "stopping", "stopped"]
FILE = "supervisor.json"


class Failure(msgspec.Struct, frozen=True):
    """Why the start failed: which process, what happened, its last log lines, what to do."""

    process: str
    message: str
    remedy: str
    lines: list[str] = []


class RoleReport(msgspec.Struct, frozen=True):
    """A role inside a process and where it serves."""

    name: str
    health: Health
    url: str


class ProcessReport(msgspec.Struct, frozen=True):
    """One process as the supervisor sees it; `seconds` is how long it took to become ready."""

    name: str
    kind: Literal["engine", "role"]
    title: str
    pid: int | None
    started: float | None
    health: Health
    since: str
    restarts: int
    seconds: float | None
    place: str
    log: str
    roles: list[RoleReport] = []


class Report(msgspec.Struct, frozen=True):
    """What `run/supervisor.json` says: the supervisor and every process of the installation."""

    version: int
    pid: int
    state: Literal["starting", "ready", "stopping", "stopped", "failed"]
    since: str
    seconds: float | None
    processes: list[ProcessReport]
    failure: Failure | None = None

    def layout(self) -> dict[str, tuple[str, ...]]:
        """The roles of each process that runs any."""
        return {one.name: tuple(role.name for role in one.roles) for one in self.processes if one.roles}


def write_report(state: Path, report: Report) -> None:
    """Replace the report of `state` in one step."""
    path = state / "run" / FILE
    draft = path.with_name(f".{FILE}.new")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    draft.replace(path)


def read_report(state: Path) -> Report | None:
    """The last report of `state`, None when there is none that can be understood."""
    try:
        return msgspec.json.decode((state / "run" / FILE).read_bytes(), type=Report)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None
