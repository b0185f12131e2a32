from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import msgspec

from opsplane.clock import SYSTEM, Clock
from opsplane.errors import Denied

_FIELDS = ("expires", "type", "size", "name", "signature")


class SignatureRefused(Denied):
    """The URL was not signed by us for this request, or its time is over."""


class Grant(msgspec.Struct, frozen=True):
    """One thing that may be done: `method` on `key` until `expires` (Unix seconds).

    A PUT binds its content type and, unless `size` is empty, its size in bytes; a GET the content type
    and the file name it is answered with.
    """

    method: str
    key: str
    expires: int
    type: str = ""
    size: str = ""
    name: str = ""

    def text(self) -> bytes:
        """What is signed: every field with its length in front, so that no two grants look alike."""
        fields = ("opsplane-1", self.method, self.key, str(self.expires), self.type, self.size, self.name)
        return b"".join(b"%d:%b" % (len(one.encode()), one.encode()) for one in fields)


class Signer:
    """Makes and checks signed URLs with one secret (HMAC-SHA256)."""

    def __init__(self, key: str, bucket: str, clock: Clock = SYSTEM) -> None:
        self._key = hashlib.sha256(f"opsplane storage {bucket}:{key}".encode()).digest()
        self._clock = clock

    def sign(self, grant: Grant, base: str) -> str:
        """The URL below `base` that carries the grant."""
        fields = {"expires": str(grant.expires), "type": grant.type, "size": grant.size, "name": grant.name}
        fields = {name: value for name, value in fields.items() if value}
        return f"{base}/{quote(grant.key)}?{urlencode({**fields, 'signature': self._signature(grant)})}"

    def check(self, method: str, key: str, query: Mapping[str, list[str]]) -> Grant:
        """The grant in a request's query. Raises `SignatureRefused` when it is none, forged, or expired.

        A HEAD is allowed to whoever may GET.
        """
        if not set(query) <= set(_FIELDS) or any(len(values) != 1 for values in query.values()):
            raise SignatureRefused("The URL has parameters that were not signed, or one of them twice.")
        fields = {name: values[0] for name, values in query.items()}
        signature = fields.pop("signature", "")
        expires = fields.pop("expires", "")
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12 and signature):
            raise SignatureRefused("The URL carries no signature.", remedy="Ask for a new URL.")
        grant = Grant(method="GET" if method == "HEAD" else method, key=key, expires=int(expires), **fields)
        if not hmac.compare_digest(self._signature(grant).encode(), signature.encode()):
            raise SignatureRefused(
                "The URL's signature does not fit this request.", remedy="Ask for a new URL."
            )
        if self.now().timestamp() >= grant.expires:
            raise SignatureRefused("The URL has expired.", remedy="Ask for a new URL.")
        return grant

    def now(self) -> datetime:
        """The time URLs are measured with."""
        return self._clock.now()

    def expiry(self, seconds: float) -> datetime:
        """The whole second a URL signed now for `seconds` ends at."""
        return datetime.fromtimestamp(int(self.now().timestamp() + seconds), UTC)

    def _signature(self, grant: Grant) -> str:
        return hmac.new(self._key, grant.text(), hashlib.sha256).hexdigest()
