"""The files Envoy watches: replaced in one step, so that it never reads half of one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

CLUSTERS = "clusters.json"
LISTENERS = "listeners.json"
ROUTES = "routes.json"
KEYS = "keys.json"
ACCESS_LOG = "access.log"


def write_resources(path: Path, resources: Sequence[Any], version: str) -> None:
    """Replace `path` by a discovery response that holds `resources`; Envoy sees the rename and reads it."""
    write_atomically(path, discovery_response(resources, version))


def discovery_response(resources: Sequence[Any], version: str) -> bytes:
    """A discovery response (xDS v3) as JSON."""
    return msgspec.json.encode({"version_info": version, "resources": list(resources)})


def write_atomically(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace `path` by `content` in one step that survives a crash; any user who may enter can read it."""
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def version_of(path: Path) -> str | None:
    """The version of the resources in a file; None when there is no such file or it is not whole."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Versioned).version_info
    except (FileNotFoundError, msgspec.DecodeError):
        return None


class _Versioned(msgspec.Struct):
    version_info: str
