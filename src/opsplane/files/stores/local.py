from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec

from opsplane.clock import SYSTEM, Clock
from opsplane.files.names import clean_file_name
from opsplane.files.signing import Grant, Signer
from opsplane.files.store import (
    URL_LIFETIME,
    BadKey,
    BadRange,
    Incomplete,
    NoSuchObject,
    ObjectInfo,
    OutOfSpace,
    SignedUrl,
    check_key,
)

ROUTE = "/api/v1/storage"
BLOCK = 256 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Facts(msgspec.Struct):
    content_type: str
    etag: str
    metadata: dict[str, str]


class LocalStore:
    """Objects as files below `root/bucket`, and signed URLs served by `upload_handlers`.

    `data/` holds the objects, `facts/` what is known of each, `incoming/` what is still arriving: an
    object is fsynced there and renamed into its place, so it is there whole or not at all.
    """

    def __init__(
        self, root: Path, bucket: str, signing_key: str, public_url: str = "", clock: Clock = SYSTEM
    ) -> None:
        self.root = root / check_key(bucket)
        self.signer = Signer(signing_key, bucket, clock)
        self._base = public_url.rstrip("/") + ROUTE
        self._data, self._facts, self._incoming = (self.root / one for one in ("data", "facts", "incoming"))
        for directory in (self._data, self._facts, self._incoming):
            directory.mkdir(parents=True, exist_ok=True)

    async def put(
        self,
        key: str,
        data: bytes | AsyncIterator[bytes],
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        size: int | None = None,
    ) -> ObjectInfo:
        """Store `data`, durable when this returns."""
        check_key(key)
        draft = self._incoming / secrets.token_hex(16)
        try:
            with _room(key):
                length, digest = await self._receive(draft, data, key, size)
                facts = _Facts(content_type, digest, dict(metadata or {}))
                await asyncio.to_thread(self._publish, draft, key, facts)
        finally:
            await asyncio.to_thread(draft.unlink, missing_ok=True)
        return ObjectInfo(key, length, datetime.now(UTC), content_type, digest, facts.metadata)

    async def get(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `end`."""
        file = await asyncio.to_thread(self._open, key)
        try:
            size = os.fstat(file.fileno()).st_size
            if start > size or (end is not None and end < start):
                raise BadRange(f"{key} has {size} bytes; {start}-{end} is not inside it.", size=size)
            left = (size if end is None else min(end, size)) - start
            file.seek(start)
            while left and (block := await asyncio.to_thread(file.read, min(BLOCK, left))):
                left -= len(block)
                yield block
        finally:
            file.close()

    async def read(self, key: str) -> bytes:
        """The whole object."""
        with await asyncio.to_thread(self._open, key) as file:
            return await asyncio.to_thread(file.read)

    async def head(self, key: str) -> ObjectInfo | None:
        """What is known of the object."""
        return await asyncio.to_thread(self._info, check_key(key))

    async def delete(self, key: str) -> None:
        """Remove the object and the directories that are empty without it."""
        await asyncio.to_thread(self._delete, check_key(key))

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        """Every object below `prefix`, in the order of the keys."""
        for key in await asyncio.to_thread(self._keys, prefix):
            info = await asyncio.to_thread(self._info, key)
            if info is not None:
                yield info

    async def presign_put(
        self, key: str, content_type: str, size: int | None = None, expires: float = URL_LIFETIME
    ) -> SignedUrl:
        """A URL for one PUT of exactly this content type and size."""
        until = self.signer.expiry(expires)
        length = "" if size is None else str(size)
        grant = Grant("PUT", check_key(key), int(until.timestamp()), content_type, length)
        return SignedUrl(self.signer.sign(grant, self._base), until, {"Content-Type": content_type})

    async def presign_get(
        self, key: str, filename: str, content_type: str | None = None, expires: float = URL_LIFETIME
    ) -> SignedUrl:
        """A URL that serves the object as an attachment."""
        until = self.signer.expiry(expires)
        name = clean_file_name(filename)
        grant = Grant("GET", check_key(key), int(until.timestamp()), content_type or "", name=name)
        return SignedUrl(self.signer.sign(grant, self._base), until)

    def local_path(self, key: str) -> Path | None:
        """The object's file."""
        return self._data / check_key(key)

    async def _receive(
        self, draft: Path, data: bytes | AsyncIterator[bytes], key: str, size: int | None
    ) -> tuple[int, str]:
        digest, length = hashlib.sha256(), 0
        file = await asyncio.to_thread(draft.open, "xb")
        try:
            async for block in _blocks(data):
                length += len(block)
                if size is not None and length > size:
                    raise Incomplete(f"{key} was announced with {size} bytes and more arrived.", size=size)
                await asyncio.to_thread(_write, file, digest.update, block)
            if size is not None and length != size:
                raise Incomplete(f"{key} was announced with {size} bytes and {length} arrived.", size=size)
            await asyncio.to_thread(_settle, file)
        finally:
            with suppress(OSError):  # what could not be flushed was reported by the write or the fsync
                file.close()
        return length, digest.hexdigest()

    def _publish(self, draft: Path, key: str, facts: _Facts) -> None:
        target, note = self._data / key, self._facts / f"{key}.json"
        _directory(target.parent, self.root)
        _directory(note.parent, self.root)
        new = draft.with_suffix(".json")
        try:
            with new.open("xb") as file:
                file.write(msgspec.json.encode(facts))
                _settle(file)
            new.replace(note)
        finally:
            new.unlink(missing_ok=True)
        draft.replace(target)
        for directory in (note.parent, target.parent):
            _sync_directory(directory)

    def _open(self, key: str) -> IO[bytes]:
        try:
            return (self._data / check_key(key)).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NoSuchObject(f"There is no object {key}.", key=key) from None

    def _info(self, key: str) -> ObjectInfo | None:
        try:
            status = (self._data / key).stat()
            facts = msgspec.json.decode((self._facts / f"{key}.json").read_bytes(), type=_Facts)
        except (FileNotFoundError, NotADirectoryError):
            return None
        modified = datetime.fromtimestamp(status.st_mtime, UTC)
        return ObjectInfo(key, status.st_size, modified, facts.content_type, facts.etag, facts.metadata)

    def _keys(self, prefix: str) -> Sequence[str]:
        files = (path for path in self._data.rglob("*") if path.is_file())
        keys = (path.relative_to(self._data).as_posix() for path in files)
        return sorted(key for key in keys if key.startswith(prefix))

    def _delete(self, key: str) -> None:
        for path, top in ((self._data / key, self._data), (self._facts / f"{key}.json", self._facts)):
            path.unlink(missing_ok=True)
            for parent in path.parents:
                if parent == top or not _empty(parent):
                    break


async def _blocks(data: bytes | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if isinstance(data, bytes):
        yield data
        return
    async for block in data:
        yield block


@contextmanager
def _room(key: str) -> Iterator[None]:
    try:
        yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise BadKey(
            f"Another object's key is a folder of {key}, or the other way round.", key=key
        ) from error
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise OutOfSpace(
            f"There is no room on the disk for {key}; nothing of it was kept.",
            remedy="Free space in the object store's directory.",
            key=key,
        ) from error


def _write(file: IO[bytes], update: Callable[[bytes], None], block: bytes) -> None:
    update(block)
    file.write(block)


def _settle(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _directory(path: Path, root: Path) -> None:
    """Make `path` below `root`, each new level durable in its parent."""
    if path == root or path.is_dir():
        return
    _directory(path.parent, root)
    path.mkdir(exist_ok=True)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _empty(directory: Path) -> bool:
    try:
        directory.rmdir()
    except OSError:
        return False
    return True
