"""The OpenAPI document as it is served: errors, parameters, links, and what needs no token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from litestar import Response, Router, delete, get, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody
from litestar.testing import AsyncTestClient

from opsplane.embedded.keys import ensure_keys
from opsplane.errors import InvalidInput
from opsplane.telemetry import Health
from opsplane.web import PUBLIC, Caller, Verifier, create_app, problem_response, problems


class NewThing(msgspec.Struct):
    name: str


class Thing(NewThing):
    id: str


@post("/things", operation_id="makeThing")
async def make(
    data: JSONBody[NewThing], key: Annotated[str | None, HeaderParameter(name="Key")] = None
) -> Thing:
    """Make a thing.

    It has an id.
    """
    return Thing(data.name, "1")


@get("/things", operation_id="listThings", security=PUBLIC)
async def things(q: FromQuery[str | None] = None, limit: FromQuery[int] = 1) -> list[Thing]:
    return []


@get("/things/{thing_id:str}", operation_id="getThing")
async def thing(identity: Caller, thing_id: FromPath[str]) -> Thing:
    raise InvalidInput("No.", violations=[{"pointer": "/a", "keyword": "no"}], remedy="Ask another.")


@delete("/things/{thing_id:str}", operation_id="deleteThing")
async def forget(thing_id: FromPath[str]) -> None:
    """Forget it."""


@post("/things/{thing_id:str}/copies", operation_id="copyThing", responses=problems(402, 507))
async def copy(thing_id: FromPath[str]) -> Thing:
    return Thing("copy", "2")


@post(
    "/things/all/copies",
    operation_id="copyAll",
    status_code=200,
    responses={202: ResponseSpec(Thing, media_type="application/json")},
)
async def copy_all() -> NewThing | None:
    return None


@get("/things/{thing_id:str}/parts/{part:int}", operation_id="getPart")
async def part(thing_id: FromPath[str], part: FromPath[int]) -> Thing:
    return Thing("part", "3")


@put("/names/{kind:str}/{name:str}", operation_id="putName")
async def put_name(kind: FromPath[str], name: FromPath[str]) -> NewThing | None:
    return NewThing(name)


@post("/names/{kind:str}/{name:str}/pause", operation_id="pauseName", status_code=200)
async def pause_name(kind: FromPath[str], name: FromPath[str]) -> Response[None]:
    return Response(None)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[AsyncTestClient[Any]]:
    ensure_keys(tmp_path)
    handlers = [make, things, thing, forget, copy, copy_all, part, put_name, pause_name]
    verifier = Verifier(tmp_path / "jwks.json", "opsplane", "opsplane")
    app = create_app("planted", [Router("/api", route_handlers=handlers)], verifier=verifier, health=Health())
    async with AsyncTestClient(app) as client:
        yield client


@pytest.fixture
async def document(client: AsyncTestClient[Any]) -> dict[str, Any]:
    return dict((await client.get("/schema/openapi.json")).json())


def statuses(operation: dict[str, Any]) -> str:
    return " ".join(sorted(operation["responses"]))


def test_errors_are_told_where_they_can_happen(document: dict[str, Any]) -> None:
    found = {o["operationId"]: statuses(o) for item in document["paths"].values() for o in item.values()}
    assert found == {
        "makeThing": "201 400 401 403 409 413 503",
        "listThings": "200 400 503",
        "getThing": "200 400 401 403 404 503",
        "deleteThing": "204 400 401 403 404 409 503",
        "copyThing": "201 400 401 402 403 404 409 503 507",
        "copyAll": "200 202 400 401 403 409 503",
        "getPart": "200 400 401 403 404 503",
        "putName": "200 400 401 403 404 409 503",
        "pauseName": "200 400 401 403 404 409 503",
    }


def test_errors_are_problems(document: dict[str, Any]) -> None:
    answers = document["paths"]["/api/things"]["post"]["responses"]
    assert answers["401"] == {"$ref": "#/components/responses/Unauthenticated"}
    described = document["components"]["responses"]
    assert set(described["Unauthenticated"]["headers"]) == {"WWW-Authenticate"}
    assert set(described["Unavailable"]["headers"]) == {"Retry-After"}
    for answer in described.values():
        assert answer["content"] == {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        }
    assert "PaymentRequired" in described  # only a handler knows of it
    assert "InternalError" not in described  # a bug is no answer to count on


def test_every_member_of_a_problem_is_described(document: dict[str, Any]) -> None:
    described = document["components"]["schemas"]["Problem"]
    full = problem_response(
        400, "d", error="e", remedy="r", violations=[{"pointer": "/a"}], request_id="1"
    ).content
    bare = problem_response(400, "d").content
    assert set(described["properties"]) == set(msgspec.json.decode(full))
    assert (
        set(msgspec.json.decode(bare)) == {"type", "title", "status", "detail"} >= set(described["required"])
    )


def test_a_parameter_is_given_or_left_out_but_never_null(document: dict[str, Any]) -> None:
    query = {one["name"]: one["schema"] for one in document["paths"]["/api/things"]["get"]["parameters"]}
    assert query == {"q": {"type": "string"}, "limit": {"type": "integer", "default": 1}}
    assert document["paths"]["/api/things"]["post"]["parameters"][0]["schema"] == {"type": "string"}


def test_calls_that_belong_together_are_linked(document: dict[str, Any]) -> None:
    links = document["paths"]["/api/things"]["post"]["responses"]["201"]["links"]
    assert links == {
        name: {"operationId": name, "parameters": {"thing_id": "$response.body#/id"}}
        for name in ("getThing", "deleteThing", "copyThing")
    }
    copied = document["paths"]["/api/things/{thing_id}/copies"]["post"]["responses"]["201"]["links"]
    assert set(copied) == {"getThing", "deleteThing"}
    accepted = document["paths"]["/api/things/all/copies"]["post"]["responses"]
    assert set(accepted["202"]["links"]) == {"getThing", "deleteThing", "copyThing"}
    assert "links" not in accepted["200"]
    named = document["paths"]["/api/names/{kind}/{name}"]["put"]["responses"]["200"]["links"]
    parameters = {"kind": "$request.path.kind", "name": "$request.path.name"}
    assert named == {"pauseName": {"operationId": "pauseName", "parameters": parameters}}


def test_descriptions_are_the_docstrings_and_an_empty_answer_has_no_content(document: dict[str, Any]) -> None:
    assert document["paths"]["/api/things"]["post"]["description"] == "Make a thing.\n\nIt has an id."
    assert "content" not in document["paths"]["/api/names/{kind}/{name}/pause"]["post"]["responses"]["200"]


def test_what_needs_no_token_says_so(document: dict[str, Any]) -> None:
    assert document["security"] == [{"bearer": []}]
    assert document["paths"]["/api/things"]["get"]["security"] == [{}]
    assert "security" not in document["paths"]["/api/things"]["post"]


async def test_a_refused_token_is_answered_as_described(client: AsyncTestClient[Any]) -> None:
    refused = await client.get("/api/things/1")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.headers["content-type"] == "application/problem+json"
