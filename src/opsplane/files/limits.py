from __future__ import annotations

import msgspec

from opsplane.errors import InvalidInput

MIB = 1024 * 1024


class LimitExceeded(InvalidInput):
    """The file is larger than allowed in the named respect; nothing of what is beyond it was applied."""


class Limits(msgspec.Struct, frozen=True):
    """How large an imported file may be in every respect; `chunk_bytes` is the unit of work and of memory."""

    bytes: int = 2048 * MIB
    decompressed_bytes: int = 16384 * MIB
    ratio: float = 200.0
    rows: int = 20_000_000
    columns: int = 500
    field_bytes: int = 256 * 1024
    record_bytes: int = MIB
    chunk_bytes: int = 8 * MIB
