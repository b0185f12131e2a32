from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from opsplane.clock import SYSTEM, Clock
from opsplane.errors import InvalidInput
from opsplane.files.store import ObjectStore
from opsplane.files.stores.local import LocalStore
from opsplane.files.stores.s3 import S3Store


class UnknownStore(InvalidInput):
    """The URL names no kind of object store there is."""


def open_store(
    url: str, bucket: str, signing_key: str = "", public_url: str = "", clock: Clock = SYSTEM
) -> ObjectStore:
    """The object store at `url`: `file:///directory`, or `s3://[key:secret@endpoint[:port]]/?region=…&tls=no`.

    Without key and secret an S3 store takes its credentials from the AWS environment variables.
    `signing_key` and `public_url` (where clients reach the gateway) are for the URLs of a `file:` store.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return LocalStore(Path(parts.path), bucket, signing_key, public_url, clock)
    if parts.scheme == "s3":
        return S3Store.at(url, bucket, clock)
    raise UnknownStore(
        f"There is no object store of kind {parts.scheme!r}.", remedy="Use file:///… or s3://…."
    )
