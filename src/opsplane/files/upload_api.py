"""The routes that serve the local store's signed URLs. (Annotations are read at run time.)"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from email.utils import format_datetime
from typing import Annotated, Any
from urllib.parse import parse_qs

from litestar import Request, Response, get, head, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, HeaderParameter
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from opsplane.files.names import content_disposition
from opsplane.files.signing import Grant, SignatureRefused
from opsplane.files.store import BadRange, Incomplete, NoSuchObject, ObjectInfo, check_key
from opsplane.files.stores.local import ROUTE, LocalStore
from opsplane.telemetry import get_logger
from opsplane.web import PUBLIC, problems

log = get_logger("files")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")

RANGE = {206: ResponseSpec(bytes, description="The range that was asked for", media_type="*/*")}

OnPut = Callable[[str], Awaitable[None]]


class TooLarge(Incomplete):
    """The body is larger than an upload may be; nothing was stored."""

    status = 413


def upload_handlers(
    store: LocalStore, on_put: OnPut | None = None, max_bytes: int = 5 * 1024**3
) -> Sequence[ControllerRouterHandler]:
    """Handlers for PUT, GET and HEAD of the store's signed URLs; no token, the signature is the permission.

    `on_put(key)` is awaited when an upload is complete and durable, before it is answered.
    """
    path = ROUTE + "/{key:path}"

    @put(
        path,
        status_code=200,
        operation_id="putObject",
        request_max_body_size=None,
        security=PUBLIC,
        responses=problems(403, 413, 507),
    )
    async def put_object(key: FromPath[str], request: Request[Any, Any, Any]) -> Response[None]:
        """Store the body; 403 unless the URL was signed for this method, content type and size."""
        grant = _granted(store, key, request)
        size = _announced(request, grant, max_bytes)
        info = await store.put(grant.key, _body(request, max_bytes), grant.type, size=size)
        log.info("files.uploaded", key=grant.key, bytes=info.size)
        if on_put is not None:
            await on_put(grant.key)
        return Response(None, headers={"ETag": f'"{info.etag}"'})

    @get(
        path,
        operation_id="getObject",
        media_type="*/*",
        security=PUBLIC,
        responses=RANGE | problems(403, 416),
    )
    async def get_object(
        key: FromPath[str],
        request: Request[Any, Any, Any],
        wanted: Annotated[str | None, HeaderParameter(name="Range")] = None,
    ) -> Stream:
        """The object, or a range of it, as an attachment; 403 unless the URL was signed for it."""
        grant = _granted(store, key, request)
        info = await _existing(store, grant.key)
        start, end = _range(wanted, info.size)
        headers = {**_headers(grant, info), "Content-Length": str(end - start)}
        partial = (start, end) != (0, info.size) or bool(wanted and _RANGE.match(wanted))
        if partial:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{info.size}"
        log.info("files.downloaded", key=grant.key, bytes=end - start)
        return Stream(
            store.get(grant.key, start, end),
            status_code=206 if partial else 200,
            media_type=grant.type or info.content_type,
            headers=headers,
        )

    @head(path, operation_id="headObject", security=PUBLIC, responses=problems(403))
    async def head_object(key: FromPath[str], request: Request[Any, Any, Any]) -> Response[None]:
        """The headers a GET would have."""
        grant = _granted(store, key, request)
        info = await _existing(store, grant.key)
        headers = {**_headers(grant, info), "Content-Length": str(info.size)}
        return Response(None, headers=headers, media_type=grant.type or info.content_type)

    return [put_object, get_object, head_object]


def _granted(store: LocalStore, key: str, request: Request[Any, Any, Any]) -> Grant:
    query = request.scope["query_string"].decode("latin-1")
    fields = parse_qs(query, keep_blank_values=True, max_num_fields=10)
    return store.signer.check(request.method, check_key(key.removeprefix("/")), fields)


def _announced(request: Request[Any, Any, Any], grant: Grant, max_bytes: int) -> int | None:
    """The size the body must have. Raises `SignatureRefused` for another content type or size than signed."""
    kind = request.headers.get("content-type", "")
    length = request.headers.get("content-length")
    if kind != grant.type:
        raise SignatureRefused(f"The URL was signed for the content type {grant.type!r}, not {kind[:80]!r}.")
    if grant.size and length is not None and length != grant.size:
        raise SignatureRefused(f"The URL was signed for {grant.size} bytes, not {length[:20]}.")
    size = grant.size or length
    if size is None or not size.isdecimal():
        return None
    if int(size) > max_bytes:
        raise TooLarge(f"An upload may have {max_bytes} bytes; this one has {size}.")
    return int(size)


async def _body(request: Request[Any, Any, Any], max_bytes: int) -> AsyncIterator[bytes]:
    received = 0
    async for block in request.stream():
        received += len(block)
        if received > max_bytes:
            raise TooLarge(f"An upload may have {max_bytes} bytes; this one has more.")
        yield block


async def _existing(store: LocalStore, key: str) -> ObjectInfo:
    info = await store.head(key)
    if info is None:
        raise NoSuchObject(f"There is no object {key}.", key=key)
    return info


def _headers(grant: Grant, info: ObjectInfo) -> dict[str, str]:
    return {
        "Content-Disposition": content_disposition(grant.name or "file"),
        "Accept-Ranges": "bytes",
        "ETag": f'"{info.etag}"',
        "Last-Modified": format_datetime(info.modified_at, usegmt=True),
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }


def _range(wanted: str | None, size: int) -> tuple[int, int]:
    """First and last-plus-one byte of a Range header; the whole where it is none we understand (RFC 9110)."""
    match = _RANGE.match(wanted or "")
    if match is None or match.groups() == ("", ""):
        return 0, size
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    if start >= end:
        raise BadRange(f"The object has {size} bytes; {wanted} is not inside it.", size=size)
    return start, end
