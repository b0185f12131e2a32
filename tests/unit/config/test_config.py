from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from opsplane import config
from opsplane.embedded import installation
from opsplane.embedded.ports import free_ports
from opsplane.errors import InvalidInput, NotFound


@pytest.fixture
def state(tmp_path: Path) -> Path:
    directory = tmp_path / "state"
    installation.prepare(directory, free_ports(1)[0], "routes: []\n")
    return directory


def test_what_embedded_writes_is_what_settings_read(state: Path) -> None:
    settings = config.load(state)
    assert set(settings.databases) == {"operations", "customer", "catalog", "order", "payment", "search"}
    assert settings.listen["operations"].url.startswith("http://127.0.0.1:")


def test_secrets_never_print(state: Path) -> None:
    settings = config.load(state)
    printed = f"{settings} {settings!r} {settings.broker.admin} {settings.databases['order']}"
    for secret in (*settings.databases.values(), settings.broker.admin, settings.objects.signing_key):
        assert secret.reveal() not in printed
        assert len(secret.reveal()) > 10


def test_the_secret_that_signs_callbacks_is_where_settings_say(state: Path) -> None:
    assert config.load(state).callback_secrets.read_text().startswith("whsec_")
    document = json.loads((state / "installation.json").read_text())
    del document["callbacks"]  # as written before there were any
    (state / "installation.json").write_text(json.dumps(document))
    settings = config.load(state)
    assert settings.callback_secrets == state / "keys" / "callbacks.txt"
    assert (settings.callbacks.http, settings.callbacks.ports, settings.callbacks.allow) == (False, [443], [])


def test_own_yaml_goes_over_it(state: Path) -> None:
    (state / "opsplane.yaml").write_text("worker: {slots: 3}\n")
    assert config.load(state).worker.slots == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [("wroker: {}", "unknown settings wroker"), ("- 1", "must be a mapping"), ("a: [", "not YAML")],
)
def test_bad_yaml_is_refused(state: Path, text: str, message: str) -> None:
    (state / "opsplane.yaml").write_text(text)
    with pytest.raises(InvalidInput, match=message):
        config.load(state)


def test_missing_and_newer_installations_are_named(state: Path) -> None:
    with pytest.raises(NotFound, match="no installation"):
        config.load(state / "elsewhere")
    document: dict[str, Any] = json.loads((state / "installation.json").read_text())
    (state / "installation.json").write_text(json.dumps(document | {"version": 99}))
    with pytest.raises(InvalidInput, match="newer opsplane"):
        config.load(state)
