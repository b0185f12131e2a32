from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote, urlencode

ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(NamedTuple):
    """Who signs, for which region."""

    access_key: str
    secret_key: str
    region: str
    token: str | None = None


class Target(NamedTuple):
    """What is signed: a method on a path of a host, with the headers the client must send."""

    method: str
    scheme: str
    host: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]


def presign(target: Target, who: Credentials, now: datetime, expires: int) -> str:
    """A presigned S3 URL (AWS Signature Version 4, query form) that binds every header of `target`."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{who.region}/s3/aws4_request"
    headers = {"host": target.host, **{name.lower(): value.strip() for name, value in target.headers.items()}}
    signed = ";".join(sorted(headers))
    query = {
        **target.query,
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{who.access_key}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(expires),
        "X-Amz-SignedHeaders": signed,
    }
    if who.token:
        query["X-Amz-Security-Token"] = who.token
    path = quote(target.path, safe="/-_.~")
    encoded = urlencode(sorted(query.items()), quote_via=quote, safe="-_.~")
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = "\n".join((target.method, path, encoded, lines, signed, "UNSIGNED-PAYLOAD"))
    text = "\n".join((ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()))
    signature = hmac.new(_key(who, stamp[:8]), text.encode(), hashlib.sha256).hexdigest()
    return f"{target.scheme}://{target.host}{path}?{encoded}&X-Amz-Signature={signature}"


def _key(who: Credentials, day: str) -> bytes:
    key = f"AWS4{who.secret_key}".encode()
    for part in (day, who.region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
