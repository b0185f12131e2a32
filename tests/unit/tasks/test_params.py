"""Parameters as they are kept: those the database cannot keep are refused before, wherever tasks are created."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.tasks.conftest import Engine

from opsplane.errors import InvalidInput
from opsplane.tasks import TaskContext, task


class Params(msgspec.Struct):
    name: str


@task("typed", emit="none")
async def typed(_ctx: TaskContext, _params: Params) -> None:
    """Only ever created here."""


@task("free", emit="none")
async def free(_ctx: TaskContext, _params: dict[str, Any]) -> None:
    """Only ever created here."""


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"a": "\0"}, "/params/a"),
        ({"a": [{}, {"b": "x\0y"}]}, "/params/a/1/b"),
        ({"a": {"\0": 1}}, "/params/a"),
        ('{"a": "\\u0000"}', "/params/a"),
    ],
)
def test_a_nul_is_refused_with_its_place(params: Any, pointer: str) -> None:
    with pytest.raises(InvalidInput, match="NUL") as refused:
        free.encode_params(params)
    assert [violation["pointer"] for violation in refused.value.violations] == [pointer]


def test_what_only_looks_like_a_nul_is_kept() -> None:
    params = {"a": "\\u0000", "b": "0"}
    assert msgspec.json.decode(free.encode_params(params)) == params


@pytest.mark.parametrize(("kind", "params"), [("typed", Params("a\0")), ("free", {"name": "a\0"})])
async def test_many_at_once_are_refused_as_one_is(engine: Engine, kind: str, params: Any) -> None:
    engine.declare(typed, free)
    with pytest.raises(InvalidInput, match="NUL"):
        await engine.create(kind, params)
    with pytest.raises(InvalidInput, match="NUL"):
        await engine.create_many(kind, 2, params=params)
    assert await engine.count("task") == 0
