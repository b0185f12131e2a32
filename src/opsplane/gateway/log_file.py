"""The access log file: Envoy may write it although its directory is not Envoy's, and it does not grow for ever."""

from __future__ import annotations

import os
from pathlib import Path

KEPT_BYTES = 64 * 1024 * 1024


def prepare_access_log(path: Path) -> None:
    """Make the file where missing, writable by the group its directory belongs to, which is Envoy's."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o660)
    try:
        if os.geteuid() == 0:
            os.fchown(descriptor, 0, path.parent.stat().st_gid)
        os.fchmod(descriptor, 0o660)
    finally:
        os.close(descriptor)


def rotated(path: Path) -> bool:
    """Whether the file was long and has been moved to `<name>.1`; Envoy must then open the new one."""
    if not path.is_file() or path.stat().st_size < KEPT_BYTES:
        return False
    path.replace(path.with_name(f"{path.name}.1"))
    prepare_access_log(path)
    return True


def link(path: Path, place: Path) -> None:
    """Have the file found at `place` too, where people look for logs."""
    if place != path and not (place.is_symlink() and place.readlink() == path):
        draft = place.with_name(f".{place.name}.new")
        draft.unlink(missing_ok=True)
        draft.symlink_to(path)
        draft.replace(place)
