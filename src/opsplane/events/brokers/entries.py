"""Entries of a stream as the store's replies carry them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from opsplane.events.broker import Delivered
from opsplane.events.envelope import UNREADABLE

_metadata = msgspec.json.Decoder(dict[str, str])


def delivered(stream: bytes, entry_id: bytes, fields: Sequence[bytes] | None) -> Delivered:
    """The entry of a reply; an entry deleted meanwhile has no fields and comes as empty bytes."""
    found = fields or ()
    data, metadata = b"", b""
    for place in range(0, len(found), 2):
        if found[place] == b"data":
            data = found[place + 1]
        elif found[place] == b"metadata":
            metadata = found[place + 1]
    try:
        beside = _metadata.decode(metadata) if metadata else {}
    except UNREADABLE:
        beside = {"unreadableMetadata": metadata.decode(errors="replace")}
    return Delivered(stream.decode(), entry_id.decode(), data, beside)
