"""The journal beside Envoy's files: which snapshot is good, and whether one was under way when we died."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from opsplane.gateway.files import write_atomically
from opsplane.gateway.snapshot import Snapshot

T = TypeVar("T", bound=msgspec.Struct)


class Entry(msgspec.Struct, frozen=True):
    """What is being done: `publishing` a version, or `live` with it."""

    state: Literal["publishing", "live"]
    version: str


class Journal:
    """Survives a kill at any point: the good snapshot is replaced only by one that is proven live."""

    def __init__(self, directory: Path) -> None:
        self._entry = directory / "journal.json"
        self._good = directory / "good.json"

    def begin(self, snapshot: Snapshot) -> None:
        """Note that the files may from now on be partly of `snapshot`."""
        write_atomically(self._entry, msgspec.json.encode(Entry("publishing", snapshot.version)))

    def succeed(self, snapshot: Snapshot) -> None:
        """Note that `snapshot` is live."""
        write_atomically(self._good, msgspec.json.encode(snapshot))
        write_atomically(self._entry, msgspec.json.encode(Entry("live", snapshot.version)))

    def good(self) -> Snapshot | None:
        """The last snapshot that was live, if any."""
        return _read(self._good, Snapshot)

    @property
    def interrupted(self) -> bool:
        """Whether a publication was begun and neither finished nor rolled back."""
        entry = _read(self._entry, Entry)
        return entry is not None and entry.state == "publishing"


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
