"""Signed URLs of the local store: what was signed works, anything else is refused and changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import httpx
import pytest
from tests.unit.files.serving import client_of

from opsplane.files import LocalStore
from opsplane.files.signing import Grant

MINE, OTHERS = "t/1/result.csv", "t/2/result.csv"
CSV = {"Content-Type": "text/csv"}


class Later:
    """The system's clock, some seconds on."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("a store does not sleep")


@pytest.fixture
def clock() -> Later:
    return Later()


@pytest.fixture
def timed(tmp_path: Path, clock: Later) -> LocalStore:
    return LocalStore(tmp_path / "objects", "common-operations", "secret", "http://files.test", clock)


@pytest.fixture
async def client(timed: LocalStore) -> AsyncIterator[httpx.AsyncClient]:
    await timed.put(MINE, b"mine", "text/csv")
    await timed.put(OTHERS, b"others", "text/csv")
    async with client_of(timed, max_bytes=1000) as client:
        yield client


def changed(url: str, **fields: str | None) -> str:
    """The URL with some fields of its query replaced, or left out."""
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query)), **fields}
    return parts._replace(query=urlencode({name: value for name, value in query.items() if value})).geturl()


def signature(url: str) -> str:
    return dict(parse_qsl(urlsplit(url).query))["signature"]


async def test_a_get_is_for_one_object(timed: LocalStore, client: httpx.AsyncClient) -> None:
    url = (await timed.presign_get(MINE, "Größe.csv", "text/csv")).url
    control = await client.get(url)
    assert (control.status_code, control.content) == (200, b"mine")
    assert control.headers["content-disposition"].startswith("attachment;")
    assert control.headers["x-content-type-options"] == "nosniff"
    sign = signature(url)
    for forged in (
        url.replace("t/1/", "t/2/"),
        changed(url, signature=sign[:-1] + ("0" if sign[-1] != "0" else "1")),
        changed(url, signature=sign.upper()),
        changed(url, signature=None),
        changed(url, expires="99999999999"),
        changed(url, type="text/html"),
        changed(url, name="evil.exe"),
        changed(url, extra="1"),
        f"{url}&name=again",
        url.split("?")[0],
    ):
        answer = await client.get(forged)
        assert (answer.status_code, b"mine" in answer.content) == (403, False), forged


async def test_a_method_is_not_another(timed: LocalStore, client: httpx.AsyncClient) -> None:
    get = (await timed.presign_get(MINE, "a.csv")).url
    put = (await timed.presign_put(MINE, "text/csv", size=4)).url
    assert (await client.put(get, content=b"evil", headers=CSV)).status_code == 403
    assert (await client.get(put)).status_code == 403
    assert (await client.head(put)).status_code == 403
    assert (await client.delete(get)).status_code == 405
    assert await timed.read(MINE) == b"mine"
    assert (await client.head(get)).headers["content-length"] == "4", "the control: whoever may GET may HEAD"
    assert (await client.put(put, content=b"good", headers=CSV)).status_code == 200, "the control"
    assert await timed.read(MINE) == b"good"


async def test_a_put_binds_type_and_size(timed: LocalStore, client: httpx.AsyncClient) -> None:
    url = (await timed.presign_put(MINE, "text/csv", size=4)).url
    answers = [
        await client.put(url, content=b"evil", headers={"Content-Type": "text/html"}),
        await client.put(url, content=b"longer", headers=CSV),
        await client.put(url, content=b"s", headers=CSV),
        await client.put(changed(url, size="6"), content=b"longer", headers=CSV),
        await client.put(url.replace("t/1/", "t/2/"), content=b"evil", headers=CSV),
    ]
    assert [answer.status_code for answer in answers] == [403] * 5
    assert (await timed.read(MINE), await timed.read(OTHERS)) == (b"mine", b"others")

    async def streamed(data: bytes) -> AsyncIterator[bytes]:
        yield data  # sent without a length

    assert (await client.put(url, content=streamed(b"longer"), headers=CSV)).status_code == 400
    assert await timed.read(MINE) == b"mine"
    assert (await client.put(url, content=streamed(b"good"), headers=CSV)).status_code == 200, "the control"


async def test_a_put_without_size_is_bounded_all_the_same(
    timed: LocalStore, client: httpx.AsyncClient
) -> None:
    url = (await timed.presign_put(MINE, "text/csv")).url
    assert (await client.put(url, content=b"x" * 1001, headers=CSV)).status_code == 413
    assert await timed.read(MINE) == b"mine"
    assert (await client.put(url, content=b"x" * 1000, headers=CSV)).status_code == 200, "the control"


async def test_time_ends_a_url(timed: LocalStore, client: httpx.AsyncClient, clock: Later) -> None:
    get, put = await timed.presign_get(MINE, "a.csv"), await timed.presign_put(MINE, "text/csv", size=4)
    assert get.expires_at <= clock.now() + timedelta(minutes=15)
    clock.seconds = 890
    assert (await client.get(get.url)).status_code == 200, "the control"
    assert (await client.put(put.url, content=b"good", headers=CSV)).status_code == 200, "the control"
    clock.seconds = 901
    assert (await client.get(get.url)).status_code == 403
    late = await client.put(put.url, content=b"late", headers=CSV)
    assert (late.status_code, "expired" in late.json()["detail"]) == (403, True)
    assert await timed.read(MINE) == b"good"


async def test_another_secret_or_bucket_signs_for_nothing(
    timed: LocalStore, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    for secret, bucket in (("other", "common-operations"), ("secret", "other")):
        foreign = LocalStore(tmp_path / "objects", bucket, secret, "http://files.test")
        assert (await client.get((await foreign.presign_get(MINE, "a.csv")).url)).status_code == 403
    same = LocalStore(tmp_path / "objects", "common-operations", "secret", "http://files.test")
    assert (await client.get((await same.presign_get(MINE, "a.csv")).url)).status_code == 200, "the control"


@pytest.mark.parametrize(
    "key", ["t/../t/1/result.csv", "%2e%2e/facts/t/1/result.csv.json", "t/1/", "t\0", "/etc/passwd"]
)
async def test_a_path_that_is_no_key_is_nobodys(
    timed: LocalStore, client: httpx.AsyncClient, key: str
) -> None:
    signed = timed.signer.sign(Grant("GET", key, 99999999999), "")
    url = f"http://files.test/api/v1/storage/{quote(key)}?{urlsplit(signed).query}"
    answer = await client.get(url)
    assert answer.status_code in (400, 403, 404), answer.text


def test_no_two_grants_have_one_text() -> None:
    grants = [
        Grant("GET", "a", 1, "b", "", ""),
        Grant("GET", "a", 1, "", "b", ""),
        Grant("GET", "a1", 1, "b"),
    ]
    assert len({grant.text() for grant in grants}) == len(grants)
