"""Publishing: proven before, read back after, undone when Envoy disagrees; traffic never notices."""

from __future__ import annotations

import asyncio
import copy
import json
import shutil

import httpx
import pytest
from joserfc.jwk import KeySet, RSAKey
from tests.unit.gateway.conftest import GATEWAY, SERVICES

from opsplane.gateway import GatewayDuty, GatewayRejected, PublicationFailed, SnapshotRejected
from opsplane.gateway.admin import EnvoyUnreachable
from opsplane.gateway.journal import Journal
from opsplane.resilience import Stop

EXTRA = GATEWAY.replace(
    "routes:\n", "routes:\n  - {name: extra, path: /extra, service: catalog, public: true}\n", 1
)


async def _status(envoy, path: str) -> int:
    async with httpx.AsyncClient(base_url=envoy.url) as client:
        return (await client.get(path)).status_code


async def test_a_change_is_live_when_publish_returns_and_equal_content_changes_nothing(fresh_envoy):
    publisher = fresh_envoy.publisher()
    assert await publisher.publish(fresh_envoy.snapshot())
    assert await _status(fresh_envoy, "/extra") == 404
    assert await publisher.publish(fresh_envoy.snapshot(EXTRA))
    assert await _status(fresh_envoy, "/extra") == 200
    assert not await publisher.publish(fresh_envoy.snapshot(EXTRA))
    assert publisher.live == fresh_envoy.snapshot(EXTRA).version


async def test_what_envoy_would_refuse_is_rejected_before_anything_is_written(fresh_envoy):
    publisher = fresh_envoy.publisher()
    await publisher.publish(fresh_envoy.snapshot())
    files = {path.name: path.read_bytes() for path in fresh_envoy.directory.glob("*.json")}
    unknown_cluster, unknown_field = fresh_envoy.snapshot(EXTRA), fresh_envoy.snapshot(EXTRA)
    unknown_cluster.clusters[:] = [one for one in unknown_cluster.clusters if one["name"] != "catalog"]
    unknown_field.routes[0]["virtual_hosts"][0]["routes"][0]["colour"] = "red"
    for bad, told in ((unknown_cluster, "catalog"), (unknown_field, "colour")):
        with pytest.raises(SnapshotRejected, match=told):
            await publisher.publish(bad)
    assert {path.name: path.read_bytes() for path in fresh_envoy.directory.glob("*.json")} == files
    assert await _status(fresh_envoy, "/extra") == 404
    assert await _status(fresh_envoy, "/api/v1/products") == 200


async def test_what_envoy_refuses_after_validation_is_rolled_back_and_the_old_serves_on(fresh_envoy):
    """A port taken by another process is what validation cannot see."""
    publisher = fresh_envoy.publisher(deadline=5.0)
    good = fresh_envoy.snapshot()
    await publisher.publish(good)
    taken = copy.deepcopy(fresh_envoy.snapshot(EXTRA))
    taken.listeners[0]["address"]["socket_address"]["address"] = "203.0.113.1"  # no address of this machine
    with pytest.raises(PublicationFailed, match="listeners"):
        await publisher.publish(taken)
    assert await _status(fresh_envoy, "/api/v1/products") == 200
    assert await _status(fresh_envoy, "/extra") == 404
    assert publisher.live == good.version
    assert await publisher.publish(fresh_envoy.snapshot(EXTRA))
    assert await _status(fresh_envoy, "/extra") == 200


async def test_an_interrupted_publication_is_undone_at_the_next_start(fresh_envoy):
    await fresh_envoy.publisher().publish(fresh_envoy.snapshot())
    Journal(fresh_envoy.directory).begin(fresh_envoy.snapshot(EXTRA))
    (fresh_envoy.directory / "routes.json").unlink()
    publisher = fresh_envoy.publisher()
    await publisher.recover()
    assert (fresh_envoy.directory / "routes.json").is_file()
    assert json.loads((fresh_envoy.directory / "journal.json").read_text())["state"] == "live"
    assert await _status(fresh_envoy, "/api/v1/products") == 200


async def test_envoy_serves_on_alone_and_after_its_own_restart(fresh_envoy):
    await fresh_envoy.publisher().publish(fresh_envoy.snapshot())
    fresh_envoy.stop()
    with pytest.raises(EnvoyUnreachable):
        await fresh_envoy.publisher().publish(fresh_envoy.snapshot(EXTRA))
    await asyncio.to_thread(fresh_envoy.start)
    assert await _status(fresh_envoy, "/api/v1/products") == 200
    assert await _status(fresh_envoy, "/api/v1/orders") == 401


async def test_changes_under_load_fail_no_request(fresh_envoy):
    publisher = fresh_envoy.publisher()
    await publisher.publish(fresh_envoy.snapshot())
    outcomes: dict[object, int] = {}
    over = asyncio.Event()

    async def load() -> None:
        async with httpx.AsyncClient(base_url=fresh_envoy.url, timeout=10) as client:
            while not over.is_set():
                try:
                    outcome: object = (await client.get("/api/v1/products")).status_code
                except httpx.HTTPError as error:
                    outcome = repr(error)
                outcomes[outcome] = outcomes.get(outcome, 0) + 1

    clients = [asyncio.create_task(load()) for _ in range(4)]
    shrunk = GATEWAY.replace(
        "  - {name: slow, prefix: /slow, service: slow, public: true, timeout: 300ms, retries: 0}\n", ""
    )
    assert shrunk != GATEWAY
    for round_ in range(20):
        await publisher.publish(fresh_envoy.snapshot([EXTRA, shrunk, GATEWAY][round_ % 3]))
    over.set()
    await asyncio.gather(*clients)
    assert set(outcomes) == {200}, outcomes
    assert outcomes[200] > 50


class _Wishes:
    """A gateway.yaml in a directory of its own, and the duty that watches it."""

    def __init__(self, envoy, directory, keys) -> None:
        self.file = directory / "gateway.yaml"
        self.file.write_text(GATEWAY)
        self.jwks = directory / "jwks.json"
        shutil.copy(keys / "jwks.json", self.jwks)
        self.publisher = envoy.publisher()
        self.duty = GatewayDuty(
            self.file,
            self.publisher,
            envoy.place,
            services=SERVICES,
            endpoints=envoy.endpoints,
            jwks=self.jwks,
            admin_socket=envoy.socket,
            log_link=directory / "access.log",
        )


async def _until(condition, seconds: float = 20.0) -> None:
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come true")


async def test_the_duty_follows_the_file_and_a_bad_file_changes_nothing(fresh_envoy, tmp_path, keys):
    wishes, stop = _Wishes(fresh_envoy, tmp_path, keys), Stop()
    running = asyncio.create_task(wishes.duty.run(stop))
    try:
        await _until(lambda: wishes.publisher.live is not None)
        await wishes.duty.check()
        first = wishes.publisher.live
        wishes.file.write_text(GATEWAY.replace("service: catalog", "servise: catalog", 1))
        await _until(lambda: wishes.duty.config_error is not None)
        assert isinstance(wishes.duty.config_error, GatewayRejected)
        assert wishes.publisher.live == first
        await wishes.duty.check()
        assert await _status(fresh_envoy, "/api/v1/products") == 200
        wishes.file.unlink()
        await _until(lambda: "cannot be read" in str(wishes.duty.config_error))
        wishes.file.write_text(EXTRA)
        await _until(lambda: wishes.duty.config_error is None)
        assert await _status(fresh_envoy, "/extra") == 200
        assert (tmp_path / "access.log").samefile(fresh_envoy.place.access_log)
    finally:
        stop.set()
        await running


async def test_a_removed_key_is_refused_as_soon_as_the_key_file_changes(fresh_envoy, tmp_path, keys, bearer):
    wishes, stop = _Wishes(fresh_envoy, tmp_path, keys), Stop()
    running = asyncio.create_task(wishes.duty.run(stop))
    try:
        await _until(lambda: wishes.publisher.live is not None)
        first = wishes.publisher.live
        async with httpx.AsyncClient(base_url=fresh_envoy.url, headers=bearer("customer")) as client:
            assert (await client.get("/api/v1/orders")).status_code == 200
            assert (await client.get("/api/v1/orders")).status_code == 200
            wishes.jwks.write_text(json.dumps(KeySet([RSAKey.generate_key(2048)]).as_dict(private=False)))
            await _until(lambda: wishes.publisher.live != first)
            assert (await client.get("/api/v1/orders")).status_code == 401
    finally:
        stop.set()
        await running
