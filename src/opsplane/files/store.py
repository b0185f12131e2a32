from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from opsplane.errors import InvalidInput, NotFound, OpsplaneError

MAX_KEY_BYTES = 512
URL_LIFETIME = 900.0

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=@+-]*\Z")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?\Z")


class BadKey(InvalidInput):
    """The object key is not one that opsplane makes: only plain relative paths name objects."""


class NoSuchObject(NotFound):
    """No object is stored under the key."""


class BadRange(OpsplaneError):
    """The requested bytes are not inside the object."""

    status = 416


class Incomplete(InvalidInput):
    """Fewer, more or other bytes arrived than were announced; nothing was stored."""


class OutOfSpace(OpsplaneError):
    """The disk or the database has no room for the data; nothing half-written is left."""

    status = 507


class SignedUrl(NamedTuple):
    """A URL that lets anyone who holds it do one thing with one object until `expires_at`."""

    url: str
    expires_at: datetime
    headers: Mapping[str, str] = {}


class ObjectInfo(msgspec.Struct, frozen=True):
    """What is known of a stored object without reading it."""

    key: str
    size: int
    modified_at: datetime
    content_type: str = "application/octet-stream"
    etag: str = ""
    metadata: dict[str, str] = {}


class ObjectStore(Protocol):
    """Where input, result and error files live, by keys the server makes."""

    async def put(
        self,
        key: str,
        data: bytes | AsyncIterator[bytes],
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        size: int | None = None,
    ) -> ObjectInfo:
        """Store `data` under `key`, whole or not at all, replacing what was there.

        Raises `Incomplete` when it is not `size` bytes long, `OutOfSpace` when it does not fit.
        """
        ...

    def get(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `end`. Raises `NoSuchObject`, `BadRange`."""
        ...

    async def read(self, key: str) -> bytes:
        """The whole object in memory."""
        ...

    async def head(self, key: str) -> ObjectInfo | None:
        """What is known of the object, None when there is none."""
        ...

    async def delete(self, key: str) -> None:
        """Remove the object, if it is there."""
        ...

    def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        """Every object whose key starts with `prefix`, ordered by key; metadata may be left out."""
        ...

    async def presign_put(
        self, key: str, content_type: str, size: int | None = None, expires: float = URL_LIFETIME
    ) -> SignedUrl:
        """A URL that takes one PUT with exactly this content type (and size), for `expires` seconds."""
        ...

    async def presign_get(
        self, key: str, filename: str, content_type: str | None = None, expires: float = URL_LIFETIME
    ) -> SignedUrl:
        """A URL that serves the object as an attachment called `filename`, for `expires` seconds."""
        ...

    def local_path(self, key: str) -> Path | None:
        """The object's file where objects are files on this machine, else None."""
        ...


class StoredObject(NamedTuple):
    """An object in a store, as the source or the target of a pipeline."""

    store: ObjectStore
    key: str


def check_key(key: str) -> str:
    """`key` when it is a plain relative path of safe names. Raises `BadKey`."""
    if not key or len(key.encode(errors="replace")) > MAX_KEY_BYTES:
        raise BadKey(f"An object key has 1 to {MAX_KEY_BYTES} bytes; this one has {len(key)} characters.")
    for segment in key.split("/"):
        if not _SEGMENT.match(segment) or _RESERVED.match(segment) or segment.endswith("."):
            raise BadKey(
                f"The object key has a part that is not allowed: {segment[:80]!r}.", part=segment[:80]
            )
    return key
