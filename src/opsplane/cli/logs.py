from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
from cyclopts import Parameter

from opsplane import config, embedded
from opsplane.errors import NotFound

app = cyclopts.App(name="logs", help="Show the log of an engine or role.")

Level = Literal["debug", "info", "warning", "error"]
RANKS = {
    "debug": 0,
    "info": 1,
    "notice": 1,
    "log": 1,
    "warning": 2,
    "error": 3,
    "fatal": 3,
    "panic": 3,
    "critical": 3,
}
JSON_LEVEL = re.compile(r'"level":\s*"(\w+)"')
TEXT_LEVEL = re.compile(
    r"\b(DEBUG|INFO|NOTICE|LOG|WARNING|ERROR|FATAL|PANIC|CRITICAL)\b|\[(debug|info|warning|error|critical)\]"
)


@app.default
def logs(
    service: Annotated[str, Parameter(help="An engine, a process or a role.")],
    *,
    state: Annotated[
        str | None, Parameter(help="State directory (or OPSPLANE_STATE; default .opsplane).")
    ] = None,
    follow: Annotated[
        bool, Parameter(name=["--follow", "-f"], negative="", help="Go on as lines come.")
    ] = False,
    grep: Annotated[str | None, Parameter(help="Only lines this regular expression matches.")] = None,
    level: Annotated[Level | None, Parameter(help="Only lines of this level or above.")] = None,
    lines: Annotated[int, Parameter(name=["--lines", "-n"], help="How many of the last lines.")] = 50,
) -> None:
    """The last lines of a log; a role's lines are in the log of the process it runs in."""
    path = _log(config.state_directory(state), service)
    pattern = re.compile(grep or "")

    def wanted(line: str) -> bool:
        return pattern.search(line) is not None and (level is None or rank(line) >= RANKS[level])

    with path.open(errors="replace") as file:
        for line in deque(filter(wanted, file), maxlen=lines):
            print(line.rstrip("\n"))
    if follow:
        for line in filter(wanted, _following(path)):
            print(line.rstrip("\n"), flush=True)


def rank(line: str) -> int:
    """How severe a line is, whatever engine wrote it; a line without a level counts as information."""
    match = JSON_LEVEL.search(line) or TEXT_LEVEL.search(line)
    word = next((group for group in match.groups() if group), "info") if match else "info"
    return RANKS.get(word.lower(), RANKS["info"])


def _log(state: Path, service: str) -> Path:
    config.load(state)
    report = embedded.read_report(state)
    layout = report.layout() if report else {}
    process = next((name for name, roles in layout.items() if service in roles), service)
    path = state / "logs" / f"{process}.log"
    if not path.is_file():
        known = sorted(file.stem for file in (state / "logs").glob("*.log"))
        raise NotFound(
            f"There is no log of {service!r}.",
            remedy=f"There are logs of: {', '.join(known) or 'nothing yet'}",
        )
    return path


def _following(path: Path) -> Iterator[str]:
    """Lines as they are written, also after the file was moved away and begun anew."""
    file = path.open(errors="replace")
    file.seek(0, 2)
    part = ""
    while True:
        part += file.readline()
        if part.endswith("\n"):
            yield part
            part = ""
        elif path.exists() and path.stat().st_ino != _inode(file.fileno()):
            file.close()
            file = path.open(errors="replace")
        else:
            time.sleep(0.1)


def _inode(descriptor: int) -> int:
    return os.fstat(descriptor).st_ino
