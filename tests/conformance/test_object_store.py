"""What every object store does, asked of each: the local directory, and S3 served by rclone."""

from __future__ import annotations

import importlib.util
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from opsplane.embedded.ports import free_ports
from opsplane.files import NoSuchObject, ObjectStore, open_store
from opsplane.files.store import BadKey, BadRange, Incomplete

PUBLIC = "http://files.test"


def _serving() -> ModuleType:
    path = Path(__file__).parents[1] / "unit" / "files" / "serving.py"
    spec = importlib.util.spec_from_file_location("opsplane_test_serving", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Stored(NamedTuple):
    """A store, and a client that can open its signed URLs."""

    store: ObjectStore
    client: httpx.AsyncClient


class Moved:
    """A clock some seconds away from the true one."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("a store does not sleep")


@pytest.fixture(scope="module")
def s3_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("s3")
    (root / "common-operations").mkdir()
    port, key, secret = free_ports(1)[0], "access", secrets.token_hex(12)
    binary = Path(sys.executable).parent / "rclone"
    argv = [
        str(binary),
        "serve",
        "s3",
        "--auth-key",
        f"{key},{secret}",
        "--addr",
        f"127.0.0.1:{port}",
        str(root),
    ]
    with (root / "log").open("wb") as log:
        server = subprocess.Popen([*argv, "--config", str(root / "none.conf")], stdout=log, stderr=log)
    try:
        end = time.monotonic() + 20
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/")
                break
            except httpx.TransportError:
                assert server.poll() is None, (root / "log").read_text()
                assert time.monotonic() < end, "rclone did not start"
                time.sleep(0.05)
        yield f"s3://{key}:{secret}@127.0.0.1:{port}/?tls=no"
    finally:
        server.kill()
        server.wait()


UNSHOWN_ON_RCLONE = {
    "test_ranges": "it answers ranges with 200",
    "test_a_signed_get_serves_ranges": "it answers ranges with 200",
    "test_forged_signed_urls_are_refused": "it does not verify signed URLs",
    "test_expired_signed_urls_are_refused": "it does not verify signed URLs",
}


@pytest.fixture(params=["local", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    missing = UNSHOWN_ON_RCLONE.get(request.function.__name__)
    if request.param == "s3" and missing:
        pytest.skip(f"rclone's S3 server cannot show this: {missing}")
    return f"file://{tmp_path}/objects" if request.param == "local" else request.getfixturevalue("s3_url")


@pytest.fixture
async def stored(url: str) -> AsyncIterator[Stored]:
    store = open_store(url, "common-operations", "key", PUBLIC)
    if url.startswith("file:"):
        async with _serving().client_of(store) as client:
            yield Stored(store, client)
        return
    async with httpx.AsyncClient() as client:
        yield Stored(store, client)
    async for one in store.list():
        await store.delete(one.key)


async def _all(blocks: AsyncIterator[bytes]) -> bytes:
    return b"".join([block async for block in blocks])


async def _parts(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_what_is_put_is_got(stored: Stored) -> None:
    store = stored.store
    info = await store.put("t/1/result.csv", b"a,b\n1,2\n", "text/csv", {"filename": "mine.csv"})
    assert info.size == 8
    assert await store.read("t/1/result.csv") == b"a,b\n1,2\n"
    head = await store.head("t/1/result.csv")
    assert head is not None
    assert (head.key, head.size, head.content_type) == ("t/1/result.csv", 8, "text/csv")
    assert head.metadata["filename"] == "mine.csv"
    assert abs((head.modified_at - datetime.now(UTC)).total_seconds()) < 60


async def test_a_stream_larger_than_a_part_arrives_whole(stored: Stored) -> None:
    parts = [secrets.token_bytes(1_000_000) for _ in range(20)]
    info = await stored.store.put("big", _parts(*parts), size=20_000_000)
    assert info.size == 20_000_000
    assert await _all(stored.store.get("big")) == b"".join(parts)


async def test_an_empty_object_is_an_object(stored: Stored) -> None:
    await stored.store.put("empty", _parts())
    assert await _all(stored.store.get("empty")) == b""
    assert (await stored.store.head("empty")) is not None


@pytest.mark.parametrize(
    ("start", "end", "expected"), [(0, 3, b"012"), (4, None, b"456789"), (8, 99, b"89"), (10, None, b"")]
)
async def test_ranges(stored: Stored, start: int, end: int | None, expected: bytes) -> None:
    await stored.store.put("digits", b"0123456789")
    assert await _all(stored.store.get("digits", start, end)) == expected


async def test_a_range_outside_is_refused(stored: Stored) -> None:
    await stored.store.put("digits", b"0123456789")
    with pytest.raises(BadRange):
        await _all(stored.store.get("digits", 11))


async def test_what_is_missing_is_told(stored: Stored) -> None:
    assert await stored.store.head("t/none") is None
    await stored.store.delete("t/none")
    with pytest.raises(NoSuchObject):
        await stored.store.read("t/none")
    with pytest.raises(NoSuchObject):
        await _all(stored.store.get("t/none"))


async def test_a_broken_stream_leaves_what_was_there(stored: Stored) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 100
        raise ValueError("the source broke")

    await stored.store.put("one", b"old")
    with pytest.raises(ValueError, match="the source broke"):
        await stored.store.put("one", broken())
    for wrong in (2, 4):
        with pytest.raises(Incomplete):
            await stored.store.put("one", _parts(b"new"), size=wrong)
    assert await stored.store.read("one") == b"old"


async def test_the_last_put_counts_and_delete_removes(stored: Stored) -> None:
    await stored.store.put("a/one", b"1")
    await stored.store.put("a/one", b"22")
    assert await stored.store.read("a/one") == b"22"
    await stored.store.delete("a/one")
    assert await stored.store.head("a/one") is None


async def test_list_is_ordered_and_by_prefix(stored: Stored) -> None:
    for key in ("b/2", "b/1", "a/1", "b1"):
        await stored.store.put(key, b"1")
    assert [one.key async for one in stored.store.list()] == ["a/1", "b/1", "b/2", "b1"]
    assert [one.key async for one in stored.store.list("b/")] == ["b/1", "b/2"]
    assert [one.key async for one in stored.store.list("b")] == ["b/1", "b/2", "b1"]


@pytest.mark.parametrize(
    "key",
    ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\0b", "a\\b", "a b", "con", "a/NUL.txt", ".hidden", "a.", "ä", "a" * 600, "a\n"],
)  # fmt: skip
async def test_other_keys_are_refused(stored: Stored, key: str) -> None:
    with pytest.raises(BadKey):
        await stored.store.put(key, b"1")
    with pytest.raises(BadKey):
        await stored.store.read(key)
    with pytest.raises(BadKey):
        await stored.store.presign_put(key, "text/csv")


async def test_a_signed_put_and_get(stored: Stored) -> None:
    store, client = stored
    put = await store.presign_put("t/1/input.csv", "text/csv", size=5)
    answer = await client.put(put.url, content=b"a,b\n1", headers=dict(put.headers))
    assert answer.status_code == 200, answer.text
    assert await store.read("t/1/input.csv") == b"a,b\n1"
    got = await client.get((await store.presign_get("t/1/input.csv", "Größe “1”.csv", "text/csv")).url)
    assert (got.status_code, got.content) == (200, b"a,b\n1")


async def test_a_signed_get_serves_ranges(stored: Stored) -> None:
    store, client = stored
    await store.put("digits", b"0123456789", "text/plain")
    url = (await store.presign_get("digits", "digits.txt")).url
    got = await client.get(url, headers={"Range": "bytes=2-4"})
    assert (got.status_code, got.content) == (206, b"234")
    assert got.headers["content-range"] == "bytes 2-4/10"


async def test_forged_signed_urls_are_refused(stored: Stored) -> None:
    store, client = stored
    await store.put("t/1/result.csv", b"mine")
    await store.put("t/2/result.csv", b"another's")
    put = await store.presign_put("t/1/result.csv", "text/csv", size=4)
    get = (await store.presign_get("t/1/result.csv", "a.csv")).url
    csv = {"Content-Type": "text/csv"}
    assert (await client.get(get)).status_code == 200, "the control"
    assert (await client.get(_flipped(get))).status_code == 403
    assert (await client.get(get.replace("t/1/", "t/2/"))).status_code == 403
    assert (await client.get(get.split("?")[0])).status_code in (401, 403)
    assert (await client.get(put.url)).status_code == 403, "a PUT's URL reads nothing"
    assert (await client.put(get, content=b"evil", headers=csv)).status_code == 403
    assert (await client.put(_flipped(put.url), content=b"evil", headers=csv)).status_code == 403
    assert (
        await client.put(put.url, content=b"evil", headers={"Content-Type": "text/html"})
    ).status_code == 403
    assert (await client.put(put.url, content=b"evil, longer", headers=csv)).status_code == 403
    assert await store.read("t/1/result.csv") == b"mine"
    assert (await client.put(put.url, content=b"good", headers=csv)).status_code == 200, "the control"
    assert await store.read("t/1/result.csv") == b"good"


async def test_expired_signed_urls_are_refused(url: str, stored: Stored) -> None:
    await stored.store.put("one", b"1")
    early = open_store(url, "common-operations", "key", PUBLIC, Moved(-100))
    get, put = (
        await early.presign_get("one", "a", expires=90),
        await early.presign_put("one", "text/csv", expires=90),
    )
    assert (await stored.client.get(get.url)).status_code == 403
    answer = await stored.client.put(put.url, content=b"2", headers={"Content-Type": "text/csv"})
    assert answer.status_code == 403
    assert (
        await stored.client.get((await early.presign_get("one", "a", expires=190)).url)
    ).status_code == 200


def _flipped(url: str) -> str:
    """The URL with one digit of its signature changed."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    name = next(one for one in query if one.lower().endswith("signature"))
    query[name] = query[name][:-1] + ("0" if query[name][-1] != "0" else "1")
    return parts._replace(query=urlencode(query)).geturl()
