from __future__ import annotations

import os
import platform
import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cyclopts

from opsplane import config, embedded
from opsplane.cli.output import emit, note
from opsplane.cli.progress import here, state_option
from opsplane.cli.session import Common
from opsplane.errors import OpsplaneError

app = cyclopts.App(name="doctor", help="Look for what could keep the platform from running.")

FINDINGS = 3
DEFAULTS = Common()
NEEDED_BYTES, COMFORTABLE_BYTES = 512 * 2**20, 2 * 2**30
NEEDED_FILES = 1024


class Finding(NamedTuple):
    """What was looked at, whether it is fine, what was seen and what to do."""

    check: str
    result: str
    evidence: str
    remedy: str = ""


@app.default
def doctor(*, common: Common = DEFAULTS) -> int:
    """Each thing the platform needs of this machine, with a remedy where it is not fine; exit code 3 then."""
    state = config.state_directory(common.state)
    findings = [finding for check in CHECKS for finding in check(state)]
    rows = [finding._asdict() for finding in findings]
    emit(rows, common.output, columns=("check", "result", "evidence", "remedy"))
    bad = [finding for finding in findings if finding.result != "ok"]
    note(f"{len(bad)} of {len(findings)} checks need attention." if bad else "Everything is fine.")
    return FINDINGS if bad else 0


def _python(_: Path) -> Iterator[Finding]:
    fine = sys.version_info >= (3, 11)
    yield _judged(
        "python", fine, platform.python_version(), "Install Python 3.11 or newer: make env PYTHON=python3.12"
    )


def _system(_: Path) -> Iterator[Finding]:
    fine = sys.platform == "linux"
    evidence = f"{platform.system()} {platform.machine()}"
    yield _judged("system", fine, evidence, "The engines run on Linux; use a Linux machine or a container.")


def _engines(_: Path) -> Iterator[Finding]:
    for name, find in embedded.BINARIES.items():
        try:
            binary = find()
            shown = subprocess.run(
                [binary, "--version"], check=True, capture_output=True, text=True, timeout=20
            )
        except OpsplaneError as error:
            yield Finding(name, "failed", error.message, error.remedy or "")
        except (OSError, subprocess.SubprocessError) as error:
            yield Finding(name, "failed", str(error), "Install the package again: make clean env")
        else:
            yield Finding(name, "ok", shown.stdout.strip().splitlines()[-1].strip())


def _account(_: Path) -> Iterator[Finding]:
    try:
        account = embedded.unprivileged()
    except OpsplaneError as error:
        yield Finding("account", "failed", error.message, error.remedy or "")
        return
    seen = (
        f"engines run as {account.name} (uid {account.uid})"
        if account
        else f"everything runs as uid {os.geteuid()}"
    )
    yield Finding("account", "ok", seen)


def _open_files(_: Path) -> Iterator[Finding]:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fine = soft >= NEEDED_FILES or soft == resource.RLIM_INFINITY
    yield _judged("open files", fine, f"limit {soft}", f"Raise the limit: ulimit -n {NEEDED_FILES * 4}")


def _disk(state: Path) -> Iterator[Finding]:
    place = next(path for path in (state, *state.parents) if path.exists())
    free = shutil.disk_usage(place).free
    evidence = f"{free / 2**30:.1f} GiB free on {place}"
    result = "ok" if free >= COMFORTABLE_BYTES else "warning" if free >= NEEDED_BYTES else "failed"
    yield Finding(
        "disk", result, evidence, "" if result == "ok" else "Free some space, or name another --state."
    )


def _state(state: Path) -> Iterator[Finding]:
    try:
        document = embedded.examine(state)
    except OpsplaneError as error:
        yield Finding("state directory", "failed", error.message, error.remedy or "")
        return
    if document is None:
        yield Finding("state directory", "ok", f"none yet in {here(state)}")
        return
    yield Finding("state directory", "ok", f"{here(state)}, layout {document['version']}")
    secret = state / "installation.json"
    mode = stat.S_IMODE(secret.stat().st_mode)
    yield _judged(
        "passwords", mode & 0o077 == 0, f"{secret.name} has mode {mode:o}", f"chmod 600 {here(secret)}"
    )
    owner = state.stat().st_uid
    mine = owner == os.geteuid()
    yield _judged(
        "owner", mine, f"belongs to uid {owner}", f"Run opsplane as uid {owner}, or use another --state."
    )
    if embedded.supervisor_pid(state) is None:
        yield from _port(document["engines"]["envoy"]["port"])


def _port(port: int) -> Iterator[Finding]:
    fine = embedded.is_free(port)
    seen = f"{port} is free" if fine else f"{port} is taken by {embedded.holder(port)}"
    yield _judged("gateway port", fine, seen, "Take another: make up PORT=8090")


def _supervisor(state: Path) -> Iterator[Finding]:
    pid, report = embedded.supervisor_pid(state), embedded.read_report(state)
    if pid is None:
        crashed = report is not None and report.state in ("starting", "ready", "stopping")
        seen = "was killed; it does not run" if crashed else "does not run"
        remedy = f"Start again: opsplane up --detach{state_option(state)}"
        yield _judged("supervisor", not crashed, seen, remedy)
        return
    yield Finding("supervisor", "ok", f"pid {pid}")
    for process in report.processes if report else []:
        fine = process.health in ("healthy", "stopped", "starting", "waiting") and process.restarts < 3
        seen = f"{process.health}, {process.restarts} restarts"
        yield _judged(process.name, fine, seen, f"opsplane logs {process.name}{state_option(state)}")


def _judged(check: str, fine: bool, evidence: str, remedy: str) -> Finding:
    return Finding(check, "ok" if fine else "failed", evidence, "" if fine else remedy)


CHECKS: tuple[Callable[[Path], Iterator[Finding]], ...] = (
    _python,
    _system,
    _engines,
    _account,
    _open_files,
    _disk,
    _state,
    _supervisor,
)
