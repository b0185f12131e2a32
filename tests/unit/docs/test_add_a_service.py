"""The how-to's service is built from its very text and does what the page says."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.commerce.conftest import serve  # noqa: F401  (a fixture)

from opsplane.commerce.catalog import service as catalog
from opsplane.events import Consumer
from opsplane.service import Service, event_schemas, task_types

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "add-a-service.md"
_FILE = re.compile(r"^`(notes/\S+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    for name, text in _FILE.findall(PAGE.read_text(encoding="utf-8")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "notes" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield importlib.import_module("notes.service").service
    for name in [name for name in sys.modules if name.partition(".")[0] == "notes"]:
        del sys.modules[name]


async def test_the_service_of_the_page_keeps_a_note_and_tells_of_it(notes: Service, serve: Any) -> None:  # noqa: F811
    served = await serve(notes)
    written = {"id": "1", "text": "buy tea"}
    answer = await served.client.post("/api/v1/notes", json=written, headers=served.token("alice"))
    assert (answer.status_code, answer.json()) == (201, written)
    [event] = await served.events()
    assert (event.type, event.subject, event.data) == ("notes.note.written", "1", written)
    assert (await served.client.post("/api/v1/notes", json=written)).status_code == 401


def test_it_consumes_and_has_task_types_of_its_own(notes: Service) -> None:
    [group] = notes.groups().items()
    assert group[0] == "notes-service"
    assert all(isinstance(one, Consumer) for one in group[1])
    assert [kind.name for kind in task_types([notes])] == ["note.import", "note.export"]
    assert {"notes.note.written", "catalog.product.created"} <= set(event_schemas([notes, catalog]).types())
