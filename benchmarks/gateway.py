"""CPU per request of the gateway: plain Envoy, each policy, the whole chain; nginx and HAProxy as peers.

CPU is what the kernel scheduler counted for every thread of the proxy (`/proc/PID/task/*/schedstat`), so the
load generator and the upstream, which share the machine, do not enter. Rounds of all variants are interleaved and
the median is taken. Figures of one run compare; those of two runs do not.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from joserfc.jwk import KeySet, RSAKey

from opsplane.embedded.binaries import envoy
from opsplane.embedded.ports import free_ports
from opsplane.gateway import Place, Publisher, bootstrap, parse, translate, write_empty
from opsplane.web import TokenIssuer

ROUNDS, REQUESTS, CONNECTIONS = 20, 2000, 16
CEILINGS = {"chain / envoy plain": 1.35, "chain / haproxy equal work": 1.25}
GATEWAY = """
issuers: {opsplane: {issuer: opsplane, audiences: [opsplane]}}
routes:
  - {name: nothing, path: /nothing, service: up, public: true, retries: 0}
  - {name: retries, path: /retries, service: up, public: true, methods: [GET]}
  - {name: address, path: /address, service: up, public: true, retries: 0, limit_address: 4000000/1s}
  - {name: token, path: /token, service: up, issuers: [opsplane], retries: 0}
  - {name: role, path: /role, service: up, issuers: [opsplane], roles: [admin, staff], retries: 0}
  - {name: user, path: /user, service: up, issuers: [opsplane], retries: 0, limit_user: 4000000/1s}
  - {name: chain, path: /chain, service: up, issuers: [opsplane], roles: [admin, staff], limit_address: 4000000/1s, limit_user: 4000000/1s}
"""
PATHS = ("nothing", "retries", "address", "token", "role", "user", "chain")
_HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
}


def run() -> dict[str, Any]:
    """CPU µs per request by variant, and the ratios the goals are about."""
    return asyncio.run(_run())


async def _run() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="opsplane-bench-gateway-") as home:
        bench = _Bench(Path(home))
        try:
            return await bench.measure()
        finally:
            bench.stop()


class _Bench:
    def __init__(self, home: Path) -> None:
        self.home = home
        home.chmod(0o755)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.up, self.plain, self.full, self.nginx, self.haproxy = free_ports(5)
        key = RSAKey.generate_key(2048, {"alg": "RS256", "use": "sig"})
        key.ensure_kid()
        self.jwks = KeySet([key]).as_dict(private=False)
        (home / "key.pem").write_bytes(key.as_pem(private=True))
        (home / "public.pem").write_bytes(key.as_pem(private=False))
        (home / "jwks.json").write_text(json.dumps(self.jwks))
        issuer = TokenIssuer(home / "key.pem", home / "jwks.json", "opsplane", "opsplane")
        self.token = issuer.issue("alice", ["admin"])

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()

    async def measure(self) -> dict[str, Any]:
        self._envoy("upstream", self._static(self.up, None))
        variants: dict[str, tuple[int, int, str]] = {}
        variants["envoy plain"] = (self._envoy("plain", self._static(self.plain, self.up)), self.plain, "/")
        gateway = await self._gateway()
        variants |= {f"opsplane {name}": (gateway, self.full, f"/{name}") for name in PATHS}
        notes = _install_peers()
        if shutil.which("nginx"):
            variants["nginx plain"] = (self._nginx(), self.nginx, "/")
        if shutil.which("haproxy"):
            variants["haproxy equal work"] = (self._haproxy(), self.haproxy, "/")
        await asyncio.sleep(1.0)
        samples: dict[str, list[float]] = {name: [] for name in variants}
        for round_ in range(ROUNDS + 1):
            for name, (pid, port, path) in variants.items():
                before = _cpu(pid)
                await _load(port, path, self.token)
                if round_:  # the first round warms caches
                    samples[name].append((_cpu(pid) - before) / REQUESTS / 1000)
        return _summary({name: statistics.median(values) for name, values in samples.items()}, notes)

    def _start(self, *command: str) -> int:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        return process.pid

    def _envoy(self, name: str, document: dict[str, Any]) -> int:
        path = self.home / f"{name}.json"
        path.write_text(json.dumps(document))
        return self._start(
            str(envoy()), "-c", str(path), "--disable-hot-restart", "--concurrency", "1", "--log-level", "off"
        )

    def _static(self, port: int, upstream: int | None) -> dict[str, Any]:
        answer = {"direct_response": {"status": 200, "body": {"inline_string": "ok"}}}
        action = answer if upstream is None else {"route": {"cluster": "up"}}
        hosts = [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **action}]}]
        manager = {
            "@type": _HCM,
            "stat_prefix": "plain",
            "route_config": {"virtual_hosts": hosts},
            "http_filters": [_ROUTER],
        }
        chain = {
            "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
        }
        address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
        clusters = []
        if upstream is not None:
            place = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": upstream}}}
            ends = [{"lb_endpoints": [{"endpoint": place}]}]
            clusters = [
                {"name": "up", "type": "STATIC", "load_assignment": {"cluster_name": "up", "endpoints": ends}}
            ]
        return {
            "static_resources": {
                "listeners": [{"address": address, "filter_chains": [chain]}],
                "clusters": clusters,
            }
        }

    async def _gateway(self) -> int:
        directory, socket = self.home / "gateway", self.home / "admin.sock"
        directory.mkdir()
        write_empty(directory)
        pid = self._envoy("gateway", bootstrap(directory, socket))
        config = parse(GATEWAY, "gateway.yaml", services={"up": ()})
        place = Place(directory, "127.0.0.1", self.full)
        snapshot = translate(config, {"up": [("127.0.0.1", self.up)]}, {"opsplane": self.jwks}, place)
        await asyncio.sleep(1.5)
        await Publisher(directory, socket, envoy()).publish(snapshot)
        return pid

    def _nginx(self) -> int:
        (self.home / "nginx.conf").write_text(
            f"worker_processes 1; daemon off; master_process off; pid {self.home}/nginx.pid; error_log /dev/null;\n"
            "events {}\nhttp { access_log off; keepalive_requests 10000000;\n"
            f"upstream up {{ server 127.0.0.1:{self.up}; keepalive 64; keepalive_requests 10000000; }}\n"
            f"server {{ listen 127.0.0.1:{self.nginx}; location / {{ proxy_pass http://up; proxy_http_version 1.1;\n"
            'proxy_set_header Connection ""; } } }\n'
        )
        return self._start("nginx", "-p", str(self.home), "-c", str(self.home / "nginx.conf"))

    def _haproxy(self) -> int:
        """The same work: strip, address and user limits, RS256 without a cache, role, JSON log."""
        (self.home / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  expose-experimental-directives
  log {self.home}/no.sock local0
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  http-reuse always
backend addresses
  stick-table type ip size 100k expire 1m store http_req_rate(1s)
backend users
  stick-table type string len 64 size 100k expire 1m store http_req_rate(1s)
frontend public
  bind 127.0.0.1:{self.haproxy}
  log global
  log-format '{{"time":"%tr","method":"%HM","path":"%HPO","status":%ST,"ms":%Ta,"client":"%ci","route":"%b","user":"%[var(txn.user)]"}}'
  http-request normalize-uri path-merge-slashes
  http-request normalize-uri path-strip-dotdot
  http-request del-header x-user- -m beg
  http-request del-header x-admin- -m beg
  http-request del-header x-client-type
  http-request track-sc0 src table addresses
  http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 4000000 }}
  http-request set-var(txn.bearer) http_auth_bearer
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_header_query('$.alg') -m str RS256 }}
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_payload_query('$.iss') -m str opsplane }}
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_payload_query('$.aud') -m str opsplane }}
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify("RS256","{self.home}/public.pem") -m int 1 }}
  http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
  http-request set-var(txn.user) var(txn.bearer),jwt_payload_query('$.sub')
  http-request set-var(txn.roles) var(txn.bearer),jwt_payload_query('$.role_names')
  http-request deny deny_status 403 unless {{ var(txn.roles) -m sub ,admin, ,staff, }}
  http-request set-header X-User-ID %[var(txn.user)]
  http-request set-header X-User-Roles %[var(txn.roles)]
  http-request track-sc1 var(txn.user) table users
  http-request deny deny_status 429 if {{ sc_http_req_rate(1) gt 4000000 }}
  default_backend up
backend up
  server up 127.0.0.1:{self.up}
""")
        return self._start("haproxy", "-db", "-f", str(self.home / "haproxy.cfg"))


def _install_peers() -> list[str]:
    missing = [name for name in ("nginx", "haproxy") if shutil.which(name) is None]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        subprocess.run(["apt-get", "update", "-qq"], check=False, capture_output=True)
        subprocess.run(command, check=False, capture_output=True, env=environment)
    return [f"{name} is not installed and could not be" for name in missing if shutil.which(name) is None]


def _cpu(pid: int) -> int:
    """Nanoseconds all threads of a process have run."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue
    return total


async def _load(port: int, path: str, token: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nX-User-ID: forged\r\n\r\n".encode()
    await asyncio.gather(*(_connection(port, request, REQUESTS // CONNECTIONS) for _ in range(CONNECTIONS)))


async def _connection(port: int, request: bytes, count: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"port {port} answered {head[:200]!r}")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
    writer.close()
    await writer.wait_closed()


def _summary(cpu: dict[str, float], notes: list[str]) -> dict[str, Any]:
    plain, chain = cpu["envoy plain"], cpu["opsplane chain"]
    ratios = {"chain / envoy plain": round(chain / plain, 2)}
    if "haproxy equal work" in cpu:
        ratios["chain / haproxy equal work"] = round(chain / cpu["haproxy equal work"], 2)
    if "nginx plain" in cpu:
        ratios["envoy plain / nginx plain"] = round(plain / cpu["nginx plain"], 2)
    over = {
        name: round(value - cpu["opsplane nothing"], 1)
        for name, value in cpu.items()
        if name.startswith("opsplane ")
    }
    return {
        "cpu_us_per_request": {name: round(value, 1) for name, value in cpu.items()},
        "ratios": ratios,
        "us_over_a_route_without_policies": over,
        "ceilings": CEILINGS,
        "notes": [f"{ROUNDS} rounds of {REQUESTS} requests.", *notes],
    }


if __name__ == "__main__":
    began = time.monotonic()
    print(json.dumps(run(), indent=2, ensure_ascii=False))
    print(f"{time.monotonic() - began:.0f} s")
