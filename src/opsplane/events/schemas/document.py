"""One version of an event type's schema: read, checked, compiled once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

import jsonschema_rs
import msgspec

from opsplane.errors import InvalidInput
from opsplane.events.schemas.formats import LATER_THAN_DRAFT_07, Formats
from opsplane.events.schemas.violations import Violation, escaped, found_by, shortened, too_deep

State = Literal["draft", "active", "deprecated"]
Scope = Literal["data", "event"]
Document = dict[str, Any]
Retrieve = Callable[[str], Any]

DRAFT_07 = "http://json-schema.org/draft-07/schema"
DRAFT_2020_12 = "https://json-schema.org/draft/2020-12/schema"
SCOPE, FORMATS = "x-scope", "x-formats"  # a document's own wishes, for those who register a file
_URN = "urn:opsplane:schema:"


class InvalidSchema(InvalidInput):
    """The document is no JSON Schema opsplane can use."""


@dataclass(frozen=True, slots=True)
class Schema:
    """One version of an event type's schema, compiled; `scope` says whether it describes the data or the whole event.

    `name` is what an event's `dataschema` says when it was validated against this version.
    """

    type: str
    version: int
    document: Document
    validator: Any = field(compare=False, repr=False)
    state: State = "active"
    scope: Scope = "data"
    formats: Formats = "assert"
    name: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"{_URN}{self.type}:{self.version}")

    @property
    def digest(self) -> str:
        """Equal for schemas that mean the same to everybody: document (in whatever order), scope and formats."""
        return digest(self.document, self.scope, self.formats)

    def violations(self, value: Any) -> list[Violation]:
        """Every reason why `value` does not fit, each counted."""
        try:
            if self.validator.is_valid(value):
                return []
            return [found_by(self.type, error) for error in self.validator.iter_errors(value)]
        except ValueError as error:  # messages follow 255 levels
            return [too_deep(self.type, error)]


def schema(
    kind: str,
    version: int,
    document: Any,
    *,
    state: State = "active",
    scope: Scope | None = None,
    formats: Formats | None = None,
) -> Schema:
    """The schema in a document; what is not given is what the document itself says (`x-scope`, `x-formats`).

    Raises `InvalidSchema` for what is no schema, refers to something outside the document, or is of another draft
    than draft-07 and 2020-12.
    """
    if not isinstance(document, dict):
        raise InvalidSchema("A schema is a JSON object.", remedy="Send the schema as an object.")
    scope = _choice(document, SCOPE, scope, ("data", "event"), "data")
    formats = _choice(document, FORMATS, formats, ("assert", "annotate"), "assert")
    return Schema(kind, version, document, compiled(document, formats), state, scope, formats)


def compiled(document: Any, formats: Formats = "assert", retrieve: Retrieve | None = None) -> Any:
    """The validator of a document; raises `InvalidSchema`. References are resolved within the document alone,
    unless `retrieve` gives the document of a URI: nothing is ever fetched from the network or read from a file.
    """
    draft = _draft(document)
    lost: list[str] = []

    def refuse(uri: str) -> NoReturn:
        lost.append(uri)
        raise ValueError("references outside the document are not followed")

    options: dict[str, Any] = {"formats": dict(LATER_THAN_DRAFT_07)} if draft == DRAFT_07 else {}
    try:
        return jsonschema_rs.validator_for(
            document, validate_formats=formats == "assert", retriever=retrieve or refuse, **options
        )
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        if lost:
            raise InvalidSchema(
                f"The schema refers to {lost[0]}, which is not part of it: nothing is fetched from elsewhere.",
                remedy="Copy what is referred to into the schema: definitions (draft-07) or $defs (2020-12).",
                reference=lost[0],
            ) from error
        text = str(error).partition("\n")[0]
        raise InvalidSchema(f"Not a JSON Schema: {shortened(text)}", remedy="Correct the schema.") from error


def read(path: Path) -> Schema:
    """The schema in `<type>/<version>.json`; raises `InvalidSchema` naming the file."""
    try:
        return schema(path.parent.name, int(path.stem), json.loads(path.read_text(encoding="utf-8")))
    except InvalidSchema as error:
        raise InvalidSchema(f"{path} is not a schema: {error.message}", remedy=error.remedy) from error
    except (ValueError, RecursionError) as error:
        raise InvalidSchema(f"{path} is not a schema: {error}", remedy="Correct the file.") from error


def digest(document: Document, scope: Scope, formats: Formats) -> str:
    """A SHA-256 in hex over what a schema means."""
    canonical = msgspec.json.encode([document, scope, formats], order="sorted")
    return hashlib.sha256(canonical).hexdigest()


def failing_examples(one: Schema) -> list[str]:
    """Which of the document's own `examples`, at any depth, do not fit where they stand, and why."""
    return [
        f"{pointer}/examples/{number}: {found[0].pointer or '/'} {found[0].message}"
        for pointer, part in _parts(one.document)
        for number, found in _failing(one, pointer, part)
    ]


def _failing(one: Schema, pointer: str, part: Document) -> Iterator[tuple[int, list[Violation]]]:
    examples = part.get("examples")
    if not isinstance(examples, list):
        return
    judge = one
    if pointer:  # a part, judged with the definitions around it so that its references are found
        whole: Document = {
            name: one.document[name] for name in ("$schema", "definitions", "$defs") if name in one.document
        }
        whole["allOf"] = [part]
        try:
            judge = Schema(one.type, one.version, whole, compiled(whole, one.formats))
        except InvalidSchema:  # it refers to the whole in another way: its examples cannot be judged alone
            return
    for number, example in enumerate(examples):
        found = judge.violations(example)
        if found:
            yield number, found


def _parts(document: Document, pointer: str = "") -> Iterator[tuple[str, Document]]:
    """Every subschema reached by properties, definitions and items, with its place."""
    yield pointer, document
    for keyword in ("properties", "definitions", "$defs"):
        named = document.get(keyword)
        for name, part in named.items() if isinstance(named, dict) else ():
            if isinstance(part, dict):
                yield from _parts(part, f"{pointer}/{keyword}/{escaped(name)}")
    if isinstance(document.get("items"), dict):
        yield from _parts(document["items"], f"{pointer}/items")


def _draft(document: Any) -> str:
    named = document.get("$schema", DRAFT_2020_12) if isinstance(document, dict) else DRAFT_2020_12
    draft = str(named).removesuffix("#")
    if draft not in (DRAFT_07, DRAFT_2020_12):
        raise InvalidSchema(
            f"The schema says it is written in {shortened(str(named))}.",
            remedy=f"Write it in {DRAFT_2020_12} or {DRAFT_07}#.",
        )
    return draft


def _choice(document: Document, keyword: str, given: Any, known: tuple[str, ...], default: str) -> Any:
    wanted = given if given is not None else document.get(keyword, default)
    if wanted not in known:
        raise InvalidSchema(f"{keyword} is {wanted!r}.", remedy=f"It is {' or '.join(known)}.")
    return wanted
