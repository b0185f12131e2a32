"""Pairs of versions with the verdict each must get, and why.

Every pair is judged in all seven modes. For a transitive mode the pair stands two versions apart, with the new one
already in between, so that only a mode that looks at every version sees it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from opsplane.events.schemas.compatibility import Mode, Version, compare, compare_history

S, INT, N, B = {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "boolean"}
YES, NO = True, False


def closed(required: tuple[str, ...] = (), /, **properties: Any) -> dict[str, Any]:
    return {**opened(required, **properties), "additionalProperties": False}


def opened(required: tuple[str, ...] = (), /, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


class Pair(NamedTuple):
    reason: str
    old: Any
    new: Any
    backward: bool
    forward: bool


PAIRS = [
    Pair("the same schema refuses nothing of itself", closed(a=S), closed(a=S), YES, YES),
    Pair("words for people change no value", {**S, "title": "a"}, {**S, "description": "b"}, YES, YES),
    Pair("an optional property in a closed object: old events lack it, old readers do not know it",
         closed(a=S), closed(a=S, b=S), YES, NO),
    Pair("an optional property in an open object: old events may carry anything under its name",
         opened(a=S), opened(a=S, b=S), NO, YES),
    Pair("an optional property that may be anything restricts nobody", opened(a=S), opened(a=S, b={}), YES, YES),
    Pair("a required property that old events lack", closed(("a",), a=S), closed(("a", "b"), a=S, b=S), NO, NO),
    Pair("a required property in an open object: old readers do not mind it",
         opened(("a",), a=S), opened(("a", "b"), a=S, b={}), NO, YES),
    Pair("a property is no longer required: old readers miss it", closed(("a",), a=S), closed(a=S), YES, NO),
    Pair("a property becomes required: old events may lack it", closed(a=S), closed(("a",), a=S), NO, YES),
    Pair("a property is removed from a closed object: old events still carry it",
         closed(a=S, b=S), closed(a=S), NO, YES),
    Pair("a property is removed from an open object: it may be anything now", opened(a=S, b=S), opened(a=S), YES, NO),
    Pair("an object is closed: old events may carry more", opened(a=S), closed(a=S), NO, YES),
    Pair("an object is opened: new events may carry more", closed(a=S), opened(a=S), YES, NO),
    Pair("other properties restricted to texts", opened(a=S), {**opened(a=S), "additionalProperties": S}, NO, YES),
    Pair("integers become numbers: every integer is one", INT, N, YES, NO),
    Pair("numbers become integers: fractions are refused", N, INT, NO, YES),
    Pair("whole multiples are integers", {**N, "multipleOf": 5}, INT, YES, NO),
    Pair("null is allowed as well: old readers refuse it", S, {"type": ["string", "null"]}, YES, NO),
    Pair("another type altogether", S, INT, NO, NO),
    Pair("a lowest value appears", N, {**N, "minimum": 0}, NO, YES),
    Pair("a lowest value falls", {**INT, "minimum": 1}, {**INT, "minimum": 0}, YES, NO),
    Pair("whole numbers above 0 are those from 1", {**INT, "exclusiveMinimum": 0}, {**INT, "minimum": 1}, YES, YES),
    Pair("fractions above 0 are not those from 1", {**N, "exclusiveMinimum": 0}, {**N, "minimum": 1}, NO, YES),
    Pair("a highest value excludes itself", {**N, "maximum": 9}, {**N, "exclusiveMaximum": 9}, NO, YES),
    Pair("finer multiples", {**N, "multipleOf": 10}, {**N, "multipleOf": 5}, YES, NO),
    Pair("longer texts", {**S, "maxLength": 10}, {**S, "maxLength": 20}, YES, NO),
    Pair("no empty texts any more", S, {**S, "minLength": 1}, NO, YES),
    Pair("a pattern appears", S, {**S, "pattern": "^a"}, NO, YES),
    Pair("the pattern stays", {**S, "pattern": "^a"}, {**S, "pattern": "^a", "maxLength": 5}, NO, YES),
    Pair("a format appears", S, {**S, "format": "date"}, NO, YES),
    Pair("a value joins the list", {"enum": ["a", "b"]}, {"enum": ["a", "b", "c"]}, YES, NO),
    Pair("a value leaves the list", {"enum": ["a", "b"]}, {"enum": ["a"]}, NO, YES),
    Pair("a list becomes any text", {"enum": ["a", "b"]}, S, YES, NO),
    Pair("a list of texts of which one is too long", {"enum": ["a", "bbb"]}, {**S, "maxLength": 2}, NO, NO),
    Pair("true and false are all there is", B, {"enum": [True, False]}, YES, YES),
    Pair("few integers are their list", {**INT, "minimum": 1, "maximum": 3}, {"enum": [1, 2, 3]}, YES, YES),
    Pair("a constant becomes another", {"const": 1}, {"const": 2}, NO, NO),
    Pair("1 and true are two values", {"const": 1}, {"const": True}, NO, NO),
    Pair("items are restricted", {"type": "array"}, {"type": "array", "items": S}, NO, YES),
    Pair("more items", {"type": "array", "maxItems": 2}, {"type": "array", "maxItems": 3}, YES, NO),
    Pair("each item once", {"type": "array"}, {"type": "array", "uniqueItems": True}, NO, YES),
    Pair("one item is always there once", {"type": "array", "maxItems": 1},
         {"type": "array", "maxItems": 1, "uniqueItems": True}, YES, YES),
    Pair("a change three levels down", closed(a={"type": "array", "items": closed(b=closed(c=INT))}),
         closed(a={"type": "array", "items": closed(b=closed(c=S))}), NO, NO),
    Pair("an alternative joins", {"anyOf": [S]}, {"anyOf": [S, INT]}, YES, NO),
    Pair("alternatives as types", {"anyOf": [S, INT]}, {"type": ["integer", "string"]}, YES, YES),
    Pair("kinds told apart by a constant; one joins",
         {"oneOf": [closed(("k",), k={"const": "a"}, v=S)]},
         {"oneOf": [closed(("k",), k={"const": "a"}, v=S), closed(("k",), k={"const": "b"}, v=INT)]}, YES, NO),
    Pair("parts joined by allOf are their union", {"allOf": [opened(("a",), a=S), opened(("b",), b=INT)]},
         opened(("a", "b"), a=S, b=INT), YES, YES),
    Pair("a definition is followed", {"$ref": "#/$defs/x", "$defs": {"x": INT}}, {"$ref": "#/$defs/y", "$defs": {"y": N}},
         YES, NO),
    Pair("a tree of texts and one of texts or null",
         {"$ref": "#/$defs/t", "$defs": {"t": closed(v=S, next={"$ref": "#/$defs/t"})}},
         {"$ref": "#/$defs/t", "$defs": {"t": closed(v={"type": ["string", "null"]}, next={"$ref": "#/$defs/t"})}},
         YES, NO),
    Pair("names by a pattern", {"type": "object", "patternProperties": {"^x": S}, "additionalProperties": False},
         {"type": "object", "patternProperties": {"^x": S}}, YES, NO),
    Pair("fewer properties", {**closed(a=S, b=S)}, {**closed(a=S, b=S), "maxProperties": 1}, NO, YES),
    Pair("two properties are never three", closed(a=S, b=S), {**closed(a=S, b=S), "maxProperties": 2}, YES, YES),
    Pair("one property asks for another", closed(a=S, b=S), {**closed(a=S, b=S), "dependentRequired": {"a": ["b"]}},
         NO, YES),
    Pair("what cannot be decided speaks against it", S, {"not": {"const": "x"}}, NO, NO),
    Pair("what cannot be decided but stays the same does not", {**S, "not": {"const": "x"}},
         {"type": ["string", "null"], "not": {"const": "x"}}, YES, NO),
    Pair("tuples of draft-07", {"$schema": "http://json-schema.org/draft-07/schema#", "type": "array",
         "items": [S, INT], "additionalItems": False}, {"type": "array", "prefixItems": [S, N], "items": False}, YES, NO),
    Pair("nothing at all fits everything", False, S, YES, NO),
]  # fmt: skip
CERTAIN = [pair for pair in PAIRS if "cannot be decided" not in pair.reason]
EXPECTED = {
    Mode.NONE: lambda pair: True,
    Mode.BACKWARD: lambda pair: pair.backward,
    Mode.FORWARD: lambda pair: pair.forward,
    Mode.FULL: lambda pair: pair.backward and pair.forward,
}


@pytest.mark.parametrize("mode", EXPECTED)
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.reason)
def test_a_version_after_the_one_before(pair: Pair, mode: Mode) -> None:
    verdict = compare(Version("1", pair.old), Version("2", pair.new), mode)
    assert verdict.compatible is EXPECTED[mode](pair), verdict.changes
    assert verdict.compatible is (not verdict.changes)


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode.transitive])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.reason)
def test_a_version_after_all_before(pair: Pair, mode: Mode) -> None:
    history = [Version("1", pair.old), Version("2", pair.new)]
    direct = Mode(mode.removesuffix("_TRANSITIVE"))
    again = compare(Version("2", pair.new), Version("3", pair.new), direct).compatible
    verdict = compare_history(history, Version("3", pair.new), mode)
    assert verdict.compatible is (EXPECTED[direct](pair) and again)
    assert {change.against for change in verdict.changes} <= {"1"} or not again


def test_every_mode_has_twenty_pairs_of_either_verdict() -> None:
    for mode, expected in EXPECTED.items():
        good = sum(expected(pair) for pair in PAIRS)
        assert len(PAIRS) >= 40
        assert mode is Mode.NONE or (good >= 9 and len(PAIRS) - good >= 20)


def test_the_first_version_fits() -> None:
    assert compare_history([], Version("1", S), Mode.FULL_TRANSITIVE).compatible


def test_a_verdict_names_place_keyword_and_both_versions() -> None:
    old = closed(("sku", "lines"), sku=S, lines={"type": "array", "items": closed(("qty",), qty=INT)})
    new = closed(("sku", "lines"), sku={**S, "maxLength": 5},
                 lines={"type": "array", "items": closed(("qty", "unit"), qty=S, unit=S)})  # fmt: skip
    verdict = compare(Version("version 1", old), Version("version 2", new), Mode.BACKWARD)
    assert [(change.pointer, change.keyword) for change in verdict.changes] == [
        ("/sku", "maxLength"),
        ("/lines/*/unit", "required"),
        ("/lines/*/qty", "type"),
    ]
    assert all(change.certain and change.direction == "backward" for change in verdict.changes)
    assert verdict.changes[0].message == "version 1 allows texts longer than version 2's 5 characters."


def test_formats_that_are_annotations_do_not_count() -> None:
    old, new = Version("1", S, formats=False), Version("2", {**S, "format": "date"}, formats=False)
    assert compare(old, new, Mode.FULL).compatible


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"$ref": "https://example.org/x.json"}, S),
        (S, {"$ref": "#/$defs/nowhere"}),
        ({"$ref": "#"}, {"$ref": "#"}),
    ],
)
def test_references_that_cannot_be_followed_speak_against_it(old: Any, new: Any) -> None:
    [change] = compare(Version("1", old), Version("2", new), Mode.BACKWARD).changes
    assert (change.keyword, change.certain) == ("$ref", False)
