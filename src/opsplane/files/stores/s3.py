from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store as Bucket

from opsplane.clock import SYSTEM, Clock
from opsplane.errors import Unavailable
from opsplane.files.names import content_disposition
from opsplane.files.store import (
    URL_LIFETIME,
    BadRange,
    Incomplete,
    NoSuchObject,
    ObjectInfo,
    SignedUrl,
    check_key,
)
from opsplane.files.stores.sigv4 import Credentials, Target, presign

BLOCK = 1024 * 1024
PART = 8 * 1024 * 1024


class StoreUnavailable(Unavailable):
    """The object store did not answer as it should."""


class S3Store:
    """Objects in a bucket of any S3 API."""

    def __init__(self, bucket: str, endpoint: str, credentials: Credentials | None, clock: Clock) -> None:
        """`endpoint` is the API's URL; without credentials they come from the AWS environment variables."""
        options: dict[str, Any] = {"client_options": {"allow_http": endpoint.startswith("http://")}}
        if credentials is not None:
            options["access_key_id"] = credentials.access_key
            options["secret_access_key"] = credentials.secret_key
            options["region"] = credentials.region
        if endpoint:
            options["endpoint"] = endpoint
        self._bucket = Bucket(bucket, **options)
        self._name, self._endpoint, self._clock = bucket, endpoint, clock
        self._credentials = credentials or _from_environment(dict(self._bucket.config))

    @classmethod
    def at(cls, url: str, bucket: str, clock: Clock = SYSTEM) -> S3Store:
        """The bucket at `s3://[key:secret@endpoint[:port]]/?region=…&tls=no`."""
        parts = urlsplit(url)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        scheme = "http" if query.get("tls") == "no" else "https"
        place = parts.netloc.rpartition("@")[2]
        credentials = None
        if parts.username:
            region = query.get("region", "us-east-1")
            credentials = Credentials(unquote(parts.username), unquote(parts.password or ""), region)
        return cls(bucket, f"{scheme}://{place}" if place else "", credentials, clock)

    async def put(
        self,
        key: str,
        data: bytes | AsyncIterator[bytes],
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        size: int | None = None,
    ) -> ObjectInfo:
        """Store `data`, in parts where it is large."""
        counted = _Counted(key, size)
        attributes = {"Content-Type": content_type, **(metadata or {})}
        with _told(key):
            if isinstance(data, bytes):
                counted.add(len(data))
                counted.finish()
                put = await obstore.put_async(self._bucket, check_key(key), data, attributes=attributes)
            else:
                put = await obstore.put_async(
                    self._bucket,
                    check_key(key),
                    counted.through(data),
                    attributes=attributes,
                    chunk_size=PART,
                )
        now = self._clock.now()
        return ObjectInfo(key, counted.length, now, content_type, put["e_tag"] or "", dict(metadata or {}))

    async def get(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `end`."""
        info = await self._known(key)
        last = info.size if end is None else min(end, info.size)
        if start > info.size or last < start:
            raise BadRange(f"{key} has {info.size} bytes; {start}-{end} is not inside it.", size=info.size)
        if start == last:
            return
        with _told(key):
            whole = start == 0 and last == info.size  # some servers answer a range with 200, which is refused
            options: obstore.GetOptions = {} if whole else {"range": (start, last)}
            got = await obstore.get_async(self._bucket, key, options=options)
            async for block in got.stream(min_chunk_size=BLOCK):
                yield bytes(block)

    async def read(self, key: str) -> bytes:
        """The whole object."""
        with _told(key):
            return bytes(await (await obstore.get_async(self._bucket, check_key(key))).bytes_async())

    async def head(self, key: str) -> ObjectInfo | None:
        """What is known of the object, its content type and metadata included."""
        try:
            return await self._known(key)
        except NoSuchObject:
            return None

    async def delete(self, key: str) -> None:
        """Remove the object."""
        try:
            with _told(key):
                await obstore.delete_async(self._bucket, check_key(key))
        except NoSuchObject:
            return

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        """Every object whose key starts with `prefix`, without its content type and metadata."""
        folder = prefix.rpartition("/")[0]
        with _told(prefix):
            async for page in obstore.list(self._bucket, prefix=folder or None):
                for meta in sorted(page, key=lambda one: one["path"]):
                    if meta["path"].startswith(prefix):
                        yield _info(meta, {})

    async def presign_put(
        self, key: str, content_type: str, size: int | None = None, expires: float = URL_LIFETIME
    ) -> SignedUrl:
        """A URL for a PUT with exactly this content type and size."""
        headers = {"Content-Type": content_type}
        bound = headers if size is None else {**headers, "Content-Length": str(size)}
        return self._signed("PUT", key, expires, bound, {})._replace(headers=headers)

    async def presign_get(
        self, key: str, filename: str, content_type: str | None = None, expires: float = URL_LIFETIME
    ) -> SignedUrl:
        """A URL that serves the object as an attachment."""
        query = {"response-content-disposition": content_disposition(filename)}
        if content_type:
            query["response-content-type"] = content_type
        return self._signed("GET", key, expires, {}, query)

    def local_path(self, key: str) -> Path | None:
        """Nothing: the objects are elsewhere."""
        check_key(key)
        return None

    async def _known(self, key: str) -> ObjectInfo:
        with _told(key):
            got = await obstore.get_async(self._bucket, check_key(key), options={"head": True})
        return _info(got.meta, {str(name): str(value) for name, value in got.attributes.items()})

    def _signed(
        self, method: str, key: str, expires: float, headers: Mapping[str, str], query: Mapping[str, str]
    ) -> SignedUrl:
        if self._credentials is None:
            raise StoreUnavailable(
                "URLs cannot be signed without static S3 credentials.",
                remedy="Give key and secret in the store's URL or the AWS environment variables.",
            )
        region = self._credentials.region
        base = urlsplit(self._endpoint or f"https://s3.{region}.amazonaws.com")
        path = f"/{self._name}/{check_key(key)}"
        target = Target(method, base.scheme, base.netloc, path, headers, query)
        now = self._clock.now().astimezone(UTC)
        url = presign(target, self._credentials, now, int(expires))
        return SignedUrl(url, now.replace(microsecond=0) + timedelta(seconds=int(expires)))


class _Counted:
    """Blocks on their way, counted against the announced size."""

    def __init__(self, key: str, size: int | None) -> None:
        self.key, self.size, self.length = key, size, 0

    def add(self, length: int) -> None:
        self.length += length
        if self.size is not None and self.length > self.size:
            raise Incomplete(
                f"{self.key} was announced with {self.size} bytes and more arrived.", size=self.size
            )

    def finish(self) -> None:
        if self.size is not None and self.length != self.size:
            raise Incomplete(
                f"{self.key} was announced with {self.size} bytes and {self.length} arrived.", size=self.size
            )

    async def through(self, blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for block in blocks:
            self.add(len(block))
            yield block
        self.finish()


@contextmanager
def _told(key: str) -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError):
        raise NoSuchObject(f"There is no object {key}.", key=key) from None
    except BaseError as error:
        raise StoreUnavailable(
            f"The object store failed on {key}: {type(error).__name__}.", remedy="Try again later.", key=key
        ) from error


def _info(meta: Mapping[str, Any], attributes: Mapping[str, str]) -> ObjectInfo:
    own = {name: value for name, value in attributes.items() if name != "Content-Type"}
    kind = attributes.get("Content-Type", "application/octet-stream")
    modified: datetime = meta["last_modified"]
    return ObjectInfo(meta["path"], meta["size"], modified, kind, meta["e_tag"] or "", own)


def _from_environment(found: Mapping[str, Any]) -> Credentials | None:
    key, secret = found.get("access_key_id"), found.get("secret_access_key")
    if not key or not secret:
        return None
    return Credentials(str(key), str(secret), str(found.get("region", "us-east-1")), found.get("token"))
