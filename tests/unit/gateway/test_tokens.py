"""Which tokens are refused: each beside the control, a good token that differs in nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from opsplane.gateway import translate
from opsplane.gateway.stages.policies.tokens import UnusableKeys

ORDERS = "/api/v1/orders"


def _part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _claims(**changes: object) -> dict[str, object]:
    now = int(time.time())
    claims = {
        "iss": "opsplane", "aud": "opsplane", "sub": "alice", "role_names": ",customer,", "client_type": "web",
        "iat": now, "nbf": now - 1, "exp": now + 600, **changes,
    }  # fmt: skip
    return {name: value for name, value in claims.items() if value is not None}


@pytest.fixture(scope="module")
def signed(keys: Path, jwks):
    key = RSAKey.import_key((keys / "issuer.pem").read_text())
    kid = jwks["keys"][0]["kid"]

    def sign(header: dict[str, object] | None = None, by: RSAKey | ECKey = key, **changes: object) -> str:
        whole = {"alg": "RS256", "typ": "JWT", "kid": kid, **(header or {})}
        return jwt.encode(whole, _claims(**changes), by, algorithms=[str(whole["alg"])])

    return sign


def _status(client, token: str, scheme: str = "Bearer") -> int:
    return client.get(ORDERS, headers={"Authorization": f"{scheme} {token}"}).status_code


def test_the_control_is_accepted(client, signed):
    assert _status(client, signed()) == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "other"}, {"iss": None}, {"aud": "other"}, {"aud": None},
        {"exp": None}, {"exp": int(time.time()) - 60}, {"nbf": int(time.time()) + 86_400},
    ],
    ids=["other issuer", "no issuer", "other audience", "no audience", "no expiry", "expired", "not yet valid"],
)  # fmt: skip
def test_a_token_whose_claims_do_not_hold_is_refused(client, signed, changes):
    assert _status(client, signed(**changes)) == (403 if "aud" in changes else 401)


def test_no_token_or_no_bearer_token_is_refused(client, signed):
    answer = client.get(ORDERS)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    for value in ("", "Bearer", "Bearer x", "Bearer a.b.c", "Basic YTpi", f"Token {signed()}"):
        assert client.get(ORDERS, headers={"Authorization": value}).status_code == 401, value


def test_a_token_anywhere_but_in_the_authorization_header_is_not_looked_at(client, signed):
    token = signed()
    assert client.get(f"{ORDERS}?access_token={token}").status_code == 401
    assert client.get(ORDERS, headers={"Cookie": f"access_token={token}"}).status_code == 401
    assert client.get(ORDERS, headers={"X-Authorization": f"Bearer {token}"}).status_code == 401


def test_algorithm_none_is_refused(client):
    for algorithm in ("none", "None", "NONE", ""):
        head = _part({"alg": algorithm, "typ": "JWT"})
        for signature in ("", "AA"):
            assert _status(client, f"{head}.{_part(_claims())}.{signature}") == 401


def test_a_public_key_is_not_a_shared_secret(client, keys, jwks):
    public = RSAKey.import_key((keys / "issuer.pem").read_text()).as_pem(private=False)
    for secret in (public, public.strip(), json.dumps(jwks["keys"][0]).encode()):
        for algorithm, digest in (("HS256", hashlib.sha256), ("HS512", hashlib.sha512)):
            signed = (
                f"{_part({'alg': algorithm, 'typ': 'JWT', 'kid': jwks['keys'][0]['kid']})}.{_part(_claims())}"
            )
            mac = hmac.new(secret, signed.encode(), digest).digest()
            assert _status(client, f"{signed}.{_part(mac)}") == 401


def test_the_algorithm_is_pinned_to_the_key(client, signed):
    for algorithm in ("RS384", "RS512", "PS256"):
        assert _status(client, signed({"alg": algorithm})) == 401


def test_a_key_the_token_brings_along_is_not_used(client, signed):
    own = RSAKey.generate_key(2048)
    brought = own.as_dict(private=False)
    assert _status(client, signed(by=own)) == 401
    assert _status(client, signed({"jwk": brought}, by=own)) == 401
    assert _status(client, signed({"kid": "other"}, by=own)) == 401
    assert _status(client, signed({"jku": "http://127.0.0.1/jwks.json"}, by=own)) == 401


def test_a_changed_payload_or_signature_is_refused(client, signed):
    head, payload, signature = signed().split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    forged = _part({**claims, "role_names": ",admin,"})
    assert _status(client, f"{head}.{forged}.{signature}") == 401
    assert _status(client, f"{head}.{payload}.{signature[:-6]}AAAAAA") == 401
    assert _status(client, f"{head}.{payload}") == 401


def test_an_elliptic_key_is_pinned_too(fresh_envoy, bearer):
    key = ECKey.generate_key("P-256", {"use": "sig"})
    key.ensure_kid()
    fresh_envoy.jwks = KeySet([key]).as_dict(private=False)
    fresh_envoy.publish()
    token = jwt.encode({"alg": "ES256", "kid": key.kid}, _claims(), key, algorithms=["ES256"])
    with httpx.Client(base_url=fresh_envoy.url) as client:
        assert _status(client, token) == 200
        assert client.get(ORDERS, headers=bearer("customer")).status_code == 401


def test_only_public_keys_of_the_named_algorithms_are_handed_to_envoy(envoy, keys):
    private = RSAKey.import_key((keys / "issuer.pem").read_text()).as_dict(private=True)
    snapshot = translate(envoy.config(), envoy.endpoints, {"opsplane": {"keys": [private]}}, envoy.place)
    assert private["d"] not in json.dumps(snapshot.keys)
    for unusable in ({"kty": "oct", "k": "c2VjcmV0"}, {**private, "use": "enc"}, {**private, "alg": "RS512"}):
        with pytest.raises(UnusableKeys, match="opsplane"):
            translate(envoy.config(), envoy.endpoints, {"opsplane": {"keys": [unusable]}}, envoy.place)
