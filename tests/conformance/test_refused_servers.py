from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tests.conformance.servers import REDIS_6, REDIS_7, VALKEY

from opsplane.embedded import installation
from opsplane.embedded.ports import free_ports
from opsplane.embedded.valkey import USERS
from opsplane.events import connect
from opsplane.events.brokers import VulnerableServer
from opsplane.events.brokers.servers import Server, refuse_vulnerable, server_of


async def test_a_redis_with_a_critical_hole_is_refused_and_the_error_says_what_to_do(servers):
    url = servers(REDIS_6).url("service")
    broker = connect(url)
    for _ in range(2):  # every time, not the first time only
        with pytest.raises(VulnerableServer) as refused:
            await broker.call("PING")
    assert refused.value.version == "6.2.14"
    for said in (
        "6.2.14",
        "6.2.20",
        "CVE-2025-49844",
        "broker.allow_vulnerable",
        f":{servers(REDIS_6).port}",
    ):
        assert said in str(refused.value)
    assert servers(REDIS_6).passwords["service"] not in str(refused.value)
    with pytest.raises(VulnerableServer):
        await broker.reader("group", "one", ["some.topic.here"])
    await broker.close()
    allowed = connect(url, allow_vulnerable=True)
    assert await allowed.call("PING") == b"PONG"
    await allowed.close()


@pytest.mark.parametrize("name", [VALKEY, REDIS_7])
async def test_other_servers_are_accepted(servers, name):
    broker = connect(servers(name).url("service"))
    assert await broker.call("PING") == b"PONG"
    await broker.close()


@pytest.mark.parametrize(
    ("name", "version", "accepted"),
    [
        ("redis", "5", False), ("redis", "6.0.16", False), ("redis", "6.2.19", False), ("redis", "6.2.20", True),
        ("redis", "6.2.x", False), ("redis", "7.0.15", True), ("redis", "10.0.0", True), ("redis", "255.255.255", True),
        ("valkey", "9.1.2", True), ("valkey", "7.2.4", True),
    ],
)  # fmt: skip
def test_which_versions_are_accepted(name, version, accepted):
    server = server_of([b"server", name.encode(), b"version", version.encode(), b"proto", 2])
    assert server == Server(name, version)
    if accepted:
        refuse_vulnerable(server, "here")
    else:
        with pytest.raises(VulnerableServer):
            refuse_vulnerable(server, "here")


@pytest.fixture
def installed(servers, database, tmp_path):
    """An installation whose broker is the vulnerable Redis; a function runs opsplane on it."""
    state = tmp_path / "state"
    installation.prepare(state, free_ports(1)[0], "routes: []\n")

    def run(*arguments: str, **broker: object) -> subprocess.CompletedProcess[str]:
        urls = {user: servers(REDIS_6).url(user) for user in USERS}
        databases = dict.fromkeys(installation.DATABASES, database)
        (state / "opsplane.yaml").write_text(json.dumps({"broker": urls | broker, "databases": databases}))
        command = [sys.executable, "-m", "opsplane", *arguments, "--state", str(state)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_a_role_does_not_start_on_it_and_a_command_does_not_work_on_it(installed):
    for arguments in (("run", "events"), ("topic", "ls")):
        ended = installed(*arguments)
        assert ended.returncode == 1, ended.stderr
        assert "Redis 6.2.14" in ended.stderr + ended.stdout
        assert "broker.allow_vulnerable" in ended.stderr + ended.stdout


def test_it_is_accepted_where_the_settings_say_so(installed):
    ended = installed("topic", "ls", "-o", "json", allow_vulnerable=True)
    assert (ended.returncode, ended.stdout.strip()) == (0, "[]")
