from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from joserfc.jwk import KeySet, RSAKey

from opsplane.embedded.binaries import envoy as envoy_binary
from opsplane.embedded.ports import free_ports
from opsplane.embedded.probes import answers_over_unix
from opsplane.gateway import (
    GatewayConfig,
    Place,
    Publisher,
    Snapshot,
    bootstrap,
    parse,
    translate,
    write_empty,
)
from opsplane.web import TokenIssuer

SERVICES = {
    "gateway": (),
    "operations": (),
    "catalog": ("products",),
    "order": ("orders",),
    "slow": (),
}

GATEWAY = """
issuers:
  opsplane: {issuer: opsplane, audiences: [opsplane]}
presets:
  open: {public: true}
  known: {issuers: [opsplane]}
  staff: {issuers: [opsplane], roles: [admin, operations_staff]}
routes:
  - {name: root, path: /, service: gateway, public: true}
  - {name: products, prefix: /api/v1/products, methods: [GET, HEAD], service: catalog, preset: open}
  - {name: products-write, prefix: /api/v1/products, service: catalog, preset: known, roles: [catalog_staff, admin]}
  - {name: public-files, prefix: /files, service: catalog, preset: open}
  - {name: private-files, prefix: /files/private, service: catalog, preset: known}
  - {name: admin, prefix: /api/v1/admin, service: operations, preset: staff}
  - {name: stream, template: "/api/v1/tasks/{id}/stream", service: operations, preset: known, stream: true}
  - {name: slow, prefix: /slow, service: slow, public: true, timeout: 300ms, retries: 0}
  - {name: limited, prefix: /limited/address, service: catalog, public: true, limit_address: 5/1m}
  - {name: limited-user, prefix: /limited/user, service: catalog, preset: known, limit_user: 5/1m}
auto_routing: {preset: known}
defaults:
  limit_address: 1000000/1s
  cors: {origins: ["https://shop.example"]}
"""


OPTIONS = ("--concurrency", "2", "--log-level", "warning", "--file-flush-interval-msec", "200")


class Upstream:
    """A service that answers with what it got, and remembers every request."""

    def __init__(self) -> None:
        self.port = free_ports(1)[0]
        self.requests: list[dict[str, Any]] = []
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._app,
                "127.0.0.1",
                self.port,
                log_config=None,
                lifespan="off",
                interface="asgi3",
                proxy_headers=False,
            )
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def _run(self) -> None:
        asyncio.run(self._server.serve())

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [[name.decode("latin1"), value.decode("latin1")] for name, value in scope["headers"]]
        got = {"method": scope["method"], "path": scope["raw_path"].decode("latin1"), "headers": headers}
        self.requests.append(got)
        if scope["path"].startswith("/slow"):
            await asyncio.sleep(0.9)
        if scope["path"].endswith("/stream"):
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [(b"content-type", b"text/event-stream")],
                }
            )
            for number in range(3):
                await send(
                    {"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True}
                )
                await asyncio.sleep(0.2)
            await send({"type": "http.response.body", "body": b""})
            return
        body = json.dumps(got).encode()
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"application/json")],
            }
        )
        await send({"type": "http.response.body", "body": body})


class RunningEnvoy:
    """An Envoy of its own directory; `publish` makes a gateway.yaml live."""

    def __init__(self, upstream_port: int, jwks: dict[str, Any]) -> None:
        self.home = tempfile.TemporaryDirectory(prefix="opsplane-gateway-")
        self.directory = Path(self.home.name)
        self.socket = self.directory / "admin.sock"
        self.port = free_ports(1)[0]
        self.place = Place(self.directory, "127.0.0.1", self.port)
        self.url = f"http://127.0.0.1:{self.port}"
        self.jwks = jwks
        self.endpoints = {name: [("127.0.0.1", upstream_port)] for name in SERVICES}
        self.process: subprocess.Popen[bytes] | None = None
        write_empty(self.directory)
        (self.directory / "bootstrap.json").write_text(json.dumps(bootstrap(self.directory, self.socket)))

    def start(self) -> None:
        command = [str(envoy_binary()), "-c", str(self.directory / "bootstrap.json"), "--disable-hot-restart"]
        with (self.directory / "envoy.log").open("ab") as log:
            self.process = subprocess.Popen([*command, *OPTIONS], stdout=log, stderr=log)
        for _ in range(500):
            if answers_over_unix(self.socket, "/ready"):
                return
            time.sleep(0.02)
        raise AssertionError((self.directory / "envoy.log").read_text())

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self) -> None:
        self.stop()
        self.home.cleanup()

    def publisher(self, **options: Any) -> Publisher:
        return Publisher(self.directory, self.socket, envoy_binary(), **options)

    def config(self, text: str = GATEWAY) -> GatewayConfig:
        return parse(text, "gateway.yaml", services=SERVICES)

    def snapshot(self, text: str = GATEWAY) -> Snapshot:
        return translate(self.config(text), self.endpoints, {"opsplane": self.jwks}, self.place)

    def publish(self, text: str = GATEWAY) -> Snapshot:
        return self.publish_snapshot(self.snapshot(text))

    def publish_snapshot(self, snapshot: Snapshot) -> Snapshot:
        with ThreadPoolExecutor(1) as other:  # a loop of its own, whatever loop the test has
            other.submit(asyncio.run, self.publisher().publish(snapshot)).result()
        return snapshot


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an issuer's private key and its public set."""
    directory = tmp_path_factory.mktemp("keys")
    key = RSAKey.generate_key(2048, {"alg": "RS256", "use": "sig"})
    key.ensure_kid()
    (directory / "issuer.pem").write_bytes(key.as_pem(private=True))
    (directory / "jwks.json").write_text(json.dumps(KeySet([key]).as_dict(private=False)))
    return directory


@pytest.fixture(scope="session")
def jwks(keys: Path) -> dict[str, Any]:
    return json.loads((keys / "jwks.json").read_text())


@pytest.fixture(scope="session")
def issuer(keys: Path) -> TokenIssuer:
    return TokenIssuer(keys / "issuer.pem", keys / "jwks.json", "opsplane", "opsplane")


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    running = Upstream()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def envoy(upstream: Upstream, jwks: dict[str, Any]) -> Iterator[RunningEnvoy]:
    """A running Envoy with the test platform's gateway.yaml live."""
    running = RunningEnvoy(upstream.port, jwks)
    running.start()
    running.publish()
    yield running
    running.close()


@pytest.fixture
def fresh_envoy(upstream: Upstream, jwks: dict[str, Any]) -> Iterator[RunningEnvoy]:
    """A running Envoy that was told nothing yet."""
    running = RunningEnvoy(upstream.port, jwks)
    running.start()
    yield running
    running.close()


@pytest.fixture
def client(envoy: RunningEnvoy) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=envoy.url, timeout=10) as one:
        yield one


@pytest.fixture
def bearer(issuer: TokenIssuer) -> Callable[..., dict[str, str]]:
    """An Authorization header of somebody with the given roles."""

    def header(*roles: str, sub: str = "alice") -> dict[str, str]:
        return {"Authorization": f"Bearer {issuer.issue(sub, roles)}"}

    return header
