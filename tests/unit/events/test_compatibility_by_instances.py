"""Verdicts against the truth: every instance of a small world is asked of both schemas.

The world is closed under what the generated schemas can tell apart (bounds from 0 to 4, lengths to 3, the letters a and
b, the properties p and q), so that a schema which refuses something another allows refuses one of these instances.
"""

from __future__ import annotations

import itertools
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.events.test_compatibility import CERTAIN, Pair

from opsplane.events.schemas.compatibility import Mode, Version, compare

NUMBERS = [-1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6]
TEXTS = ["", "a", "b", "aa", "ab", "aaa", "aaaa", "c"]
ATOMS = [None, True, False, *NUMBERS, *TEXTS]
SMALL = [None, True, False, -1, 0, 0.5, 1, 2, 3, 3.5, 4, 5, "", "a", "b", "aa", "aaa", "aaaa", "c"]
FEW = [None, True, 0, 1.5, 2, "a", "bb"]
ARRAYS = [
    list(items) for size in range(4) for items in itertools.product(SMALL if size < 3 else FEW, repeat=size)
]
NESTED = (
    [{"p": {"p": one}} for one in SMALL] + [{"p": [one]} for one in SMALL] + [[{"p": one}] for one in SMALL]
)
NESTED += [{"p": {}}, {"p": []}, [[]], [{}], {"q": {}}, {"r": {}}, {"p": {"q": 1, "p": 1}}, {"p": {"r": 1}}]
OBJECTS = [
    dict(zip(names, values, strict=True))
    for size in range(3)
    for names in itertools.combinations("pqr", size)
    for values in itertools.product(SMALL, repeat=size)
] + [dict(zip("pqr", values, strict=True)) for values in itertools.product(FEW, repeat=3)]
ARRAYS += [[one] * size for one in SMALL for size in (3, 4)] + [[1, 2, 3, "a"]]
WORLD = [*ATOMS, *ARRAYS, *OBJECTS, *NESTED]

bound, length = st.integers(0, 4), st.integers(0, 3)


def some(**keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keywords)


number = st.builds(
    lambda kind, rest: {"type": kind, **rest},
    st.sampled_from(["integer", "number"]),
    some(minimum=bound, maximum=bound) | some(exclusiveMinimum=bound, exclusiveMaximum=bound),
)
text = st.builds(lambda rest: {"type": "string", **rest}, some(minLength=length, maxLength=length))
listed = st.lists(st.sampled_from(SMALL), min_size=1, max_size=3, unique_by=repr).map(
    lambda values: {"enum": values}
)
kinds = st.lists(
    st.sampled_from(["null", "boolean", "integer", "number", "string"]), min_size=1, max_size=3, unique=True
).map(lambda types: {"type": types})
scalar = st.one_of(number, text, listed, kinds, st.just({"type": "boolean"}), st.booleans())


def arrays_of(item: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda rest: {"type": "array", **rest}, some(items=item, minItems=length, maxItems=length)
    )


def objects_of(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda rest: {"type": "object", **rest},
        some(
            properties=st.dictionaries(st.sampled_from("pq"), value, max_size=2),
            required=st.lists(st.sampled_from("pq"), max_size=2, unique=True),
            additionalProperties=st.booleans() | value,
        ),
    )


flat = st.one_of(scalar, arrays_of(scalar), objects_of(scalar))
loose = st.recursive(
    scalar,
    lambda inner: st.one_of(
        arrays_of(inner),
        objects_of(inner),
        st.lists(inner, min_size=1, max_size=2).flatmap(
            lambda parts: st.sampled_from(["anyOf", "oneOf", "allOf"]).map(lambda name: {name: parts})
        ),
        inner.map(lambda part: {"not": part}),
        inner.map(
            lambda part: {
                "type": "object",
                "patternProperties": {"^p": part},
                "propertyNames": {"maxLength": 1},
            }
        ),
        inner.map(lambda part: {"type": "array", "uniqueItems": True, "contains": part}),
        st.integers(1, 3).map(lambda step: {"type": ["number", "null"], "multipleOf": step}),
    ),
    max_leaves=5,
)


def refused(old: Any, new: Any) -> Any:
    """An instance of the old schema that the new one refuses."""
    giver, taker = jsonschema_rs.validator_for(old), jsonschema_rs.validator_for(new)
    return next((one for one in WORLD if giver.is_valid(one) and not taker.is_valid(one)), "none")


def backward(old: Any, new: Any) -> bool:
    return compare(Version("1", old), Version("2", new), Mode.BACKWARD).compatible


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(flat, flat)
def test_the_verdict_is_the_truth(old: Any, new: Any) -> None:
    assert backward(old, new) is (refused(old, new) == "none")


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(loose, loose)
def test_what_is_called_compatible_refuses_nothing(old: Any, new: Any) -> None:
    if backward(old, new):
        assert refused(old, new) == "none"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(loose)
def test_a_schema_is_compatible_with_itself(schema: Any) -> None:
    assert backward(schema, schema)


@pytest.mark.parametrize("pair", CERTAIN, ids=lambda pair: pair.reason)
def test_forward_is_backward_the_other_way(pair: Pair) -> None:
    verdict = compare(Version("1", pair.old), Version("2", pair.new), Mode.FORWARD)
    assert verdict.compatible is backward(pair.new, pair.old)
