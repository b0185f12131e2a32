from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from opsplane import config
from opsplane.embedded import Postgres, binaries, remove
from opsplane.embedded.account import Account, reachable
from opsplane.embedded.installation import NewerState, NotAnInstallation, PortTaken, examine, prepare
from opsplane.embedded.layout import postgres_engine
from opsplane.embedded.places import LONGEST_SOCKET_DIRECTORY, Places
from opsplane.embedded.ports import free_ports, holder
from opsplane.errors import Denied, InvalidInput, NotFound


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    remove(tmp_path / "state")


def snapshot(state: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(state.rglob("*")) if path.is_file()}


def test_new_installation_is_what_config_reads(state: Path) -> None:
    (port,) = free_ports(1)
    document = prepare(state, port, "routes: []\n")
    settings = config.load(state)
    assert settings.engines.envoy.port == port
    assert settings.gateway.public_url == f"http://127.0.0.1:{port}"
    assert set(settings.databases) == {"operations", "customer", "catalog", "order", "payment", "search"}
    assert (state / "gateway.yaml").read_text() == "routes: []\n"
    ports = [entry["port"] for entry in document["listen"].values()]
    ports += [document["engines"][name]["port"] for name in ("postgres", "valkey", "envoy")]
    assert len(set(ports)) == len(ports)


def test_what_holds_secrets_is_private(state: Path) -> None:
    prepare(state, free_ports(1)[0], "")
    for name in ("installation.json", "keys/issuer.pem", "keys/callbacks.txt", "keys", "objects", "logs"):
        assert stat.S_IMODE((state / name).stat().st_mode) & 0o077 == 0, name


def test_next_start_keeps_ports_passwords_keys_and_the_users_gateway_file(state: Path) -> None:
    first = prepare(state, free_ports(1)[0], "routes: []\n")
    keys = snapshot(state / "keys")
    (state / "gateway.yaml").write_text("routes: [mine]\n")
    assert prepare(state, None, "routes: []\n") == first
    assert snapshot(state / "keys") == keys
    assert (state / "gateway.yaml").read_text() == "routes: [mine]\n"


def test_internal_port_taken_meanwhile_is_replaced_and_passwords_stay(state: Path) -> None:
    first = prepare(state, free_ports(1)[0], "")
    taken = first["engines"]["postgres"]["port"]
    with socket.create_server(("127.0.0.1", taken)):
        second = prepare(state, None, "")
    assert second["engines"]["postgres"]["port"] != taken
    before, after = urlsplit(first["databases"]["order"]), urlsplit(second["databases"]["order"])
    assert before.password == after.password
    assert after.port == second["engines"]["postgres"]["port"]
    assert second["listen"] == first["listen"]


def test_taken_public_port_names_the_process_and_changes_nothing(state: Path) -> None:
    with socket.create_server(("127.0.0.1", free_ports(1)[0])) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"port {port} is taken by pid {os.getpid()} \(") as caught:
            prepare(state, port, "")
    assert caught.value.remedy.startswith("Try: make up PORT=80")
    assert not state.exists()


def test_the_holder_of_a_port_is_named_as_people_know_it(postgres: Postgres) -> None:
    port = int(urlsplit(postgres.superuser_dsn).port or 0)
    assert re.fullmatch(r"pid \d+ \(postgres\)", holder(port))


def test_newer_state_is_refused_and_unchanged(state: Path) -> None:
    prepare(state, free_ports(1)[0], "")
    document = json.loads((state / "installation.json").read_text())
    (state / "installation.json").write_text(json.dumps({**document, "version": 2}))
    before = snapshot(state)
    with pytest.raises(NewerState, match="layout 2, this one knows 1"):
        prepare(state, None, "")
    assert snapshot(state) == before


def test_data_of_another_postgres_is_refused(state: Path) -> None:
    prepare(state, free_ports(1)[0], "")
    (state / "postgres").mkdir()
    (state / "postgres" / "PG_VERSION").write_text("19\n")
    with pytest.raises(NewerState, match="PostgreSQL 19"):
        prepare(state, None, "")


def test_directory_with_other_things_is_refused(state: Path) -> None:
    state.mkdir()
    (state / "thesis.txt").write_text("years of work")
    with pytest.raises(NotAnInstallation, match=r"thesis\.txt"):
        prepare(state, free_ports(1)[0], "")
    assert [path.name for path in state.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"version": "x"}'])
def test_damaged_installation_is_told(state: Path, content: str) -> None:
    state.mkdir()
    (state / "installation.json").write_text(content)
    with pytest.raises(InvalidInput, match="is damaged"):
        examine(state)


def test_nothing_installed_is_told(state: Path) -> None:
    with pytest.raises(NotFound, match="no installation"):
        config.load(state)


def test_public_keys_verify_what_the_private_key_signed(state: Path) -> None:
    prepare(state, free_ports(1)[0], "")
    private = RSAKey.import_key((state / "keys" / "issuer.pem").read_bytes())
    public = KeySet.import_key_set(json.loads((state / "keys" / "jwks.json").read_text()))
    (key,) = public.keys
    assert not key.is_private
    token = jwt.encode({"alg": "RS256", "kid": key.kid}, {"sub": "alice"}, private)
    assert jwt.decode(token, public, algorithms=["RS256"]).claims == {"sub": "alice"}


def test_long_state_path_gets_sockets_that_can_be_bound(tmp_path: Path) -> None:
    state = tmp_path / ("deep" * 30)
    places = Places.of(state, None)
    assert len(str(places.sockets)) <= LONGEST_SOCKET_DIRECTORY
    assert state not in places.sockets.parents


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes accounts")
def test_foreign_state_directory_is_refused(state: Path) -> None:
    state.mkdir()
    os.chown(state, 65534, 65534)
    with pytest.raises(Denied, match="belongs to another user"):
        prepare(state, free_ports(1)[0], "")


def test_reachability_is_that_of_the_account(tmp_path: Path) -> None:
    stranger = Account("stranger", 4_000_000, 4_000_000)
    tmp_path.chmod(0o700)
    assert not reachable(tmp_path / "x", stranger)
    assert reachable(tmp_path / "x", None)
    assert reachable(Path("/usr/bin/env"), stranger)


def test_databases_are_kept_over_a_restart_and_provisioned_again_without_loss(state: Path) -> None:
    document = prepare(state, free_ports(1)[0], "")
    engine = postgres_engine(document, state / "logs" / "postgres.log")
    passwords = {name: urlsplit(dsn).password or "" for name, dsn in document["databases"].items()}
    for value in (1, 2):
        engine.start()
        try:
            engine.provision(passwords)
            with psycopg.connect(document["databases"]["order"]) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
                connection.execute("INSERT INTO kept VALUES (%s)", (value,))
                rows = connection.execute("SELECT n FROM kept ORDER BY n").fetchall()
        finally:
            engine.stop()
    assert rows == [(1,), (2,)]


def test_cluster_left_half_made_is_made_anew(state: Path) -> None:
    document = prepare(state, free_ports(1)[0], "")
    draft = state / "postgres.creating"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")
    engine = postgres_engine(document, state / "logs" / "postgres.log")
    engine.start()
    engine.stop()
    assert not draft.exists()


def test_roles_own_their_database_and_see_no_other(postgres: Postgres) -> None:
    engine = postgres
    engine.provision({"room_a": "a", "room_b": "b"})
    try:
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(engine.dsn("room_b", "room_a", "a"))
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(engine.dsn("room_a", "room_a", "b"))
    finally:
        with psycopg.connect(engine.superuser_dsn, autocommit=True) as connection:
            for name in ("room_a", "room_b"):
                connection.execute(f"DROP DATABASE {name}")
                connection.execute(f"DROP ROLE {name}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes accounts")
def test_as_root_the_engines_run_without_rights_even_below_a_private_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wheel and the data both lie where the engines' account may not go."""
    source = binaries.postgres_bin().parent.parent
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    shutil.copytree(
        source, private / source.name, ignore=shutil.ignore_patterns("pginstall", "include", "*.a")
    )
    shutil.copytree(source.with_name(f"{source.name}.libs"), private / f"{source.name}.libs")
    monkeypatch.setattr(binaries, "_wheel", lambda module, distribution: private / module)
    (port,) = free_ports(1)
    copies = Path("/var/tmp") / f"opsplane-test-{os.getpid()}"
    monkeypatch.setattr(binaries, "SHARED", copies)
    monkeypatch.setattr(binaries, "COPIES", copies)
    engine = Postgres(private / "data", port=port, password="p", log=tmp_path / "log")
    try:
        engine.start()
        assert engine.child
        status = Path(f"/proc/{engine.child.pid}/status").read_text()
        assert "Uid:\t65534\t65534\t65534\t65534" in status
        assert "CapEff:\t0000000000000000" in status
        assert "Groups:\t \n" in status
    finally:
        engine.stop()
        shutil.rmtree(copies)
