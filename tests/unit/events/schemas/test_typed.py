"""Typed classes: a module that mypy accepts in strict mode and that decodes the schemas' own examples."""

from __future__ import annotations

import datetime
import importlib.util
import subprocess
import sys
import uuid
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from opsplane.events.schemas import schema
from opsplane.events.schemas.typed import module
from opsplane.service import collect_services, event_schemas

PLATFORM = event_schemas(collect_services().values()).usable()
NEWEST = list({one.type: one for one in PLATFORM}.values())
DRAFT_07 = {"$schema": "http://json-schema.org/draft-07/schema#"}
ODD: dict[str, Any] = {
    **DRAFT_07,
    "description": 'Says """hello""" \\ and ends with "',
    "required": ["class", "plain"],
    "properties": {
        "class": {"enum": ["a", "b\"'\\", None]},
        "import": {"enum": [1, 2]},
        "aB": {"type": "integer"},
        "a_b": {"type": "integer"},
        "1st": {"type": "string", "format": "date"},
        "größe": {"type": "number"},
        "plain": {"type": ["string", "integer", "null"]},
        "uuid": {"type": "string", "format": "uuid"},
        "datetime": {"const": "x"},
        "flag": {"enum": [True, False]},
        "mixed": {"enum": [1.5, {"a": 1}]},
        "tree": {"$ref": "#/definitions/node"},
        "either": {"oneOf": [{"type": "object", "properties": {"x": {}}}, {"type": "object"}]},
        "maybe": {"anyOf": [{"$ref": "#/definitions/node"}, {"type": "null"}]},
        "texts": {"anyOf": [{"type": "string", "format": "uuid"}, {"type": "string"}]},
        "numbers": {"type": ["integer", "number"]},
        "map": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "integer"}}},
        "pair": {"type": "array", "items": [{"type": "string"}, {"type": "integer"}]},
        "both": {"allOf": [{"$ref": "#/definitions/node"}, {"properties": {"extra": {"type": "boolean"}}}]},
        "loop": {"$ref": "#/definitions/loop"},
        "anything": {},
        "": {"type": "string"},
    },
    "definitions": {
        "node": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/definitions/node"}},
            },
        },
        "loop": {"type": "array", "items": {"$ref": "#/definitions/loop"}},
    },
}  # fmt: skip
EXAMPLE: dict[str, Any] = {
    "class": "b\"'\\", "import": 2, "aB": 1, "a_b": 2, "1st": "2026-01-02", "größe": 1, "plain": None,
    "uuid": "7d444840-9dc0-41d1-b245-5ffdce74fad2", "datetime": "x", "flag": True, "mixed": {"a": 1},
    "tree": {"name": "a", "children": [{"name": "b", "children": []}]}, "either": {"x": 1}, "maybe": None,
    "texts": "no uuid", "numbers": 1.5, "map": {"k": [1]}, "pair": ["a", 1], "both": {"name": "a", "extra": True},
    "loop": [[]], "anything": [1], "": "empty", "unknown": "is passed over",
}  # fmt: skip
OTHERS = [
    schema("shop.odd.done", 1, ODD),
    schema("shop.list.done", 1, {"type": "array", "items": {"properties": {"a": {"type": "string"}}}}),
    schema("shop.text.done", 1, {"type": "string"}),
    schema("shop.any.done", 1, {}),
    schema(
        "other.odd.done", 1, {"type": "object", "properties": {"id": {"type": "string", "format": "uuid"}}}
    ),
    schema(
        "other.quiet.done",
        1,
        {"properties": {"id": {"type": "string", "format": "uuid"}}, "x-formats": "annotate"},
    ),
    schema(
        "operations.class.Any", 1, {"properties": {"datetime": {"type": "string", "format": "date-time"}}}
    ),
]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModuleType, Path]:
    path = tmp_path_factory.mktemp("typed") / "events.py"
    path.write_text(module([*NEWEST, *OTHERS]), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("written_events", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules["written_events"] = found
    spec.loader.exec_module(found)
    return found, path


def class_of(found: ModuleType, kind: str) -> Any:
    """The class the module has for an event type."""
    full = "".join(word.title() for part in kind.split(".") for word in part.split("_"))
    short = "".join(word.title() for part in kind.split(".")[-2:] for word in part.split("_"))
    return getattr(found, full, None) or getattr(found, short)


def test_it_passes_mypy_strict(written) -> None:
    _, path = written
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={path.parent}", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + path.read_text()


@pytest.mark.parametrize(
    "one", [one for one in NEWEST if "examples" in one.document], ids=lambda one: one.type
)
def test_it_decodes_the_platforms_examples(written, one) -> None:
    found, _ = written
    examples = one.document["examples"]
    assert examples
    for example in examples:
        decoded = msgspec.json.decode(msgspec.json.encode(example), type=class_of(found, one.type))
        again = msgspec.to_builtins(decoded)
        assert again.keys() == example.keys()


def test_it_decodes_what_is_odd(written) -> None:
    found, path = written
    odd = msgspec.convert(EXAMPLE, found.ShopOddDone)
    assert (odd.class_, odd.import_, odd.a_b, odd.a_b_2, odd.plain) == ("b\"'\\", 2, 1, 2, None)
    assert odd.field_1st == datetime.date(2026, 1, 2)
    assert odd.uuid_ == uuid.UUID(EXAMPLE["uuid"])
    assert odd.tree.children[0].name == "b"
    assert (odd.both.name, odd.both.extra) == ("a", True)
    assert msgspec.convert([{"a": "b"}], found.ListDone)[0].a == "b"
    assert msgspec.convert("x", found.TextDone) == "x"
    text = path.read_text(encoding="utf-8")
    assert "either: Any" in text
    assert "texts: Any" in text
    assert "numbers: float | msgspec.UnsetType" in text
    assert "id: str | msgspec.UnsetType" in text  # formats: annotate


def test_it_refuses_what_the_types_do_not_allow(written) -> None:
    found, _ = written
    for change in ({"class": "c"}, {"tree": {}}, {"map": {"k": ["x"]}}, {"import": 3}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({**EXAMPLE, **change}, found.ShopOddDone)
    with pytest.raises(msgspec.ValidationError, match="class"):
        msgspec.convert({"plain": 1}, found.ShopOddDone)
