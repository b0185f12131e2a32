from __future__ import annotations

from pathlib import Path

import pytest

from opsplane.cli.main import run
from opsplane.embedded.installation import prepare
from opsplane.embedded.places import remove
from opsplane.embedded.ports import free_ports
from opsplane.web import Verifier


@pytest.fixture
def state(engine_directory: Path, tmp_path: Path):
    place = engine_directory / tmp_path.name
    prepare(place, free_ports(1)[0], "routes: []\n")
    yield place
    remove(place)


def _run(*arguments: str) -> int:
    return run(list(arguments))


def test_token_issue_prints_a_token_that_verifies_and_nothing_else(state, capsys):
    assert _run("token", "issue", "--role", "admin", "--sub", "alice", "--state", str(state)) == 0
    printed = capsys.readouterr()
    assert printed.out.count("\n") == 1
    assert printed.err == ""
    identity = Verifier(state / "keys" / "jwks.json", "opsplane", "opsplane").verify(printed.out.strip())
    assert (identity.sub, identity.roles) == ("alice", {"admin"})


def test_token_issue_refuses_a_lifetime_that_is_none(state, capsys):
    assert _run("token", "issue", "--lifetime", "soon", "--state", str(state)) == 1
    assert _run("token", "issue", "--lifetime", "400d", "--state", str(state)) == 1
    assert capsys.readouterr().out == ""
