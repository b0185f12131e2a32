from __future__ import annotations

import httpx
from tests.unit.gateway import raw
from tests.unit.gateway.conftest import GATEWAY


def _until_limited(
    client: httpx.Client, path: str, headers: dict[str, str], count: int = 9
) -> list[httpx.Response]:
    return [client.get(path, headers=headers) for _ in range(count)]


def test_an_address_is_limited_and_told_so(client):
    answers = _until_limited(client, "/limited/address", {})
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 4
    first, last = answers[0], answers[-1]
    assert first.headers["ratelimit-policy"] == '"address";q=5;w=60'
    assert first.headers["x-ratelimit-limit"] == "5"
    assert [int(answer.headers["x-ratelimit-remaining"]) for answer in answers[:5]] == [4, 3, 2, 1, 0]
    assert last.headers["x-ratelimit-remaining"] == "0"
    assert last.headers["retry-after"] == "12"
    assert last.headers["content-type"] == "application/problem+json"
    assert last.json()["status"] == 429


def test_a_forwarded_address_changes_nothing_where_no_proxy_is_trusted(envoy):
    for number in range(8):
        forged = [b"X-Forwarded-For: 10.9.8.%d" % number, b"Forwarded: for=10.9.8.%d" % number]
        status = raw.status(raw.get(envoy.port, b"/limited/address", *forged))
    assert status == 429


def test_behind_a_proxy_the_trusted_hop_counts_and_never_the_leftmost(fresh_envoy):
    fresh_envoy.publish(GATEWAY + "listen: {trusted_hops: 1}\n")
    for number in range(6):
        forged = b"X-Forwarded-For: 10.9.8.%d, 203.0.113.7" % number
        status = raw.status(raw.get(fresh_envoy.port, b"/limited/address", forged))
    assert status == 429
    other = b"X-Forwarded-For: 203.0.113.7, 203.0.113.8"
    assert raw.status(raw.get(fresh_envoy.port, b"/limited/address", other)) == 200


def test_each_user_has_a_limit_of_their_own(client, bearer):
    answers = _until_limited(client, "/limited/user", bearer(sub="heavy"))
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 4
    assert answers[0].headers["ratelimit-policy"] == '"user";q=5;w=60'
    assert answers[-1].headers["retry-after"] == "12"
    assert answers[-1].headers["x-ratelimit-remaining"] == "0"
    assert len(answers[0].headers.get_list("x-ratelimit-limit")) == 1
    assert client.get("/limited/user", headers=bearer(sub="light")).status_code == 200


def test_refused_tokens_do_not_use_up_a_users_limit(client, bearer):
    for _ in range(8):
        assert client.get("/limited/user", headers={"Authorization": "Bearer x.y.z"}).status_code == 401
    assert client.get("/limited/user", headers=bearer(sub="fresh")).status_code == 200
