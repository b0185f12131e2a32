from __future__ import annotations

import asyncio

import pytest

from opsplane.errors import InvalidInput
from opsplane.events import BrokerUnavailable, connect
from opsplane.events.brokers.resp import Address, CommandRefused, Connection


async def test_a_connection_that_has_gone_silent_is_given_up_and_made_anew():
    async def mute(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = Connection(Address(f"redis://127.0.0.1:{port}"), timeout=0.2)
    for _ in range(2):
        with pytest.raises(BrokerUnavailable):
            await asyncio.wait_for(connection.call("PING"), 10)
    await connection.close()
    server.close()
    await server.wait_closed()


async def test_a_slow_but_living_connection_is_kept(broker_url):
    connection = Connection(Address(broker_url), timeout=0.6)
    for _ in range(4):
        await asyncio.sleep(0.3)
        assert await connection.call("BLPOP", "nothing", "0.3") is None
    await connection.close()


async def test_nobody_listening_says_where():
    broker = connect("redis://127.0.0.1:1")
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1 cannot be reached"):
        await broker.call("PING")
    await broker.close()


async def test_a_wrong_password_is_refused_and_not_shown(broker_url):
    url = broker_url.replace(Address(broker_url).password, "wr%40ng")
    connection = Connection(Address(url))
    with pytest.raises(CommandRefused) as refused:
        await connection.call("PING")
    assert "wr@ng" not in str(refused.value)


async def test_a_service_may_not_run_scripts(valkey_engine):
    broker = connect(valkey_engine.url("service"))
    with pytest.raises(CommandRefused, match="NOPERM"):
        await broker.call("EVAL", "return 1", "0")
    await broker.close()


async def test_commands_of_a_transaction_happen_together_or_are_refused(broker_url):
    connection = Connection(Address(broker_url))
    with pytest.raises(CommandRefused):
        await connection.transaction([("SET", "a", "1"), ("NONSENSE",)])
    assert await connection.call("GET", "a") is None
    assert await connection.transaction([("SET", "a", "1"), ("INCR", "a")]) == [b"OK", 2]
    await connection.close()


def test_addresses_are_read_from_urls():
    address = Address("redis://us%3Aer:p%40ss@example:7000/3")
    assert (address.user, address.password, address.host, address.port, address.database) == (
        "us:er", "p@ss", "example", 7000, 3,
    )  # fmt: skip
    assert Address("unix:///run/valkey.sock").path == "/run/valkey.sock"
    with pytest.raises(InvalidInput):
        Address("http://example")
