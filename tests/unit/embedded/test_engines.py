from __future__ import annotations

import psycopg
import redis


def test_database_is_owned_by_an_ordinary_role(database: str) -> None:
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
        assert row == (False,)
        connection.execute("CREATE TABLE t (n int)")


def test_broker_is_empty_before_each_test(broker_url: str) -> None:
    with redis.Redis.from_url(broker_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_broker_is_empty_again(broker_url: str) -> None:
    with redis.Redis.from_url(broker_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")
