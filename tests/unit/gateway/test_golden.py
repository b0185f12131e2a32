"""What a gateway.yaml becomes: golden pairs, each also accepted by Envoy itself.

`OPSPLANE_GOLDEN=write` writes the outputs anew; read the difference before committing it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from opsplane.embedded.binaries import envoy
from opsplane.gateway import Place, Snapshot, parse, translate
from opsplane.gateway.validation import validate

CASES = sorted((Path(__file__).parents[2] / "golden" / "gateway").glob("*.in.yaml"))
# The base point of P-256: a valid public key that is nobody's.
JWKS = {
    "keys": [
        {
            "kty": "EC",
            "crv": "P-256",
            "kid": "one",
            "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
            "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
            "use": "sig",
            "alg": "ES256",
        }
    ]
}


def _translated(case: Path) -> Snapshot:
    given = yaml.safe_load(case.read_text())
    config = parse(yaml.safe_dump(given["gateway"]), case.name, services=given.get("services", {}))
    endpoints = {
        name: [("127.0.0.1", 9000 + index)] for index, name in enumerate(sorted(given.get("services", {})))
    }
    jwks = dict.fromkeys(given["gateway"]["issuers"], JWKS)
    return translate(config, endpoints, jwks, Place(Path("/gateway"), "127.0.0.1", 8080))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.removesuffix(".in.yaml"))
async def test_a_file_becomes_exactly_these_resources(case: Path):
    snapshot = _translated(case)
    parts = {
        "clusters": snapshot.clusters,
        "keys": snapshot.keys,
        "routes": snapshot.routes,
        "listeners": snapshot.listeners,
    }
    expected = case.with_name(case.name.replace(".in.", ".out."))
    if os.environ.get("OPSPLANE_GOLDEN") == "write":
        expected.write_text(yaml.safe_dump(parts, sort_keys=False, width=120))
    assert parts == yaml.safe_load(expected.read_text())
    await validate(snapshot, envoy())


def test_translation_is_pure():
    assert CASES
    for case in CASES:
        assert _translated(case).version == _translated(case).version
