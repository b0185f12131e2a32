"""The registry: versions, lifecycle, modes, verdicts that name the change and whom it breaks."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.events.schemas.conftest import CONSUMED, NUMBER, SUBJECT, file, price

from opsplane.errors import Conflict, InvalidInput, NotFound
from opsplane.events.schemas import registry, store
from opsplane.events.schemas.assessment import IncompatibleSchema
from opsplane.events.schemas.compatibility import Mode
from opsplane.events.schemas.files import differences, drifts, register_files


async def states(held) -> list[tuple[int, str]]:
    return [(one.version, one.state) for one in await store.versions(held.pool, SUBJECT)]


async def test_a_version_goes_from_draft_to_active_to_deprecated_and_never_back(held) -> None:
    done = await held.register(price())
    assert (done.version.version, done.version.state, done.known) == (1, "draft", False)
    with pytest.raises(Conflict, match="is draft; it can become active"):
        await registry.deprecate(held.pool, SUBJECT, 1, "bob")
    promoted = await held.promote(1)
    assert (promoted.state, promoted.registered_by, promoted.promoted_by) == ("active", "alice", "bob")
    with pytest.raises(Conflict, match="is active; it can become deprecated"):
        await held.promote(1)
    gone = await registry.deprecate(held.pool, SUBJECT, 1, "carol")
    assert (gone.state, gone.deprecated_by) == ("deprecated", "carol")
    with pytest.raises(Conflict, match="nothing else"):
        await held.promote(1)
    with pytest.raises(NotFound, match="no version 7; there is 1"):
        await held.promote(7)
    with pytest.raises(NotFound, match="no subject"):
        await store.version(held.pool, "shop.no.such")


async def test_the_same_schema_is_registered_once_in_whatever_order_it_is_written(held) -> None:
    await held.register(price())
    again = dict(reversed(price().items()))
    done = await held.register(again)
    assert (done.known, done.version.version, len(await states(held))) == (True, 1, 1)
    assert list(done.version.schema) == list(price())  # as its author wrote it
    other = await registry.register(held.pool, file(1, {**price(), "x-formats": "annotate"}), "alice")
    assert (other.known, other.version.version, other.version.formats) == (False, 2, "annotate")


async def test_registering_side_by_side_numbers_each_once(held) -> None:
    await asyncio.gather(*(held.register(price(**{f"p{number}": NUMBER})) for number in range(8)))
    assert [number for number, _ in await states(held)] == list(range(1, 9))


async def test_a_taken_number_is_refused(held) -> None:
    await held.active(price())
    with pytest.raises(Conflict, match="A registered version never changes"):
        await held.register(price(a=NUMBER), version=1, numbered=True)
    done = await held.register(price(a=NUMBER), version=7, numbered=True)
    assert done.version.version == 7
    assert (await held.register(price(b=NUMBER))).version.version == 8


async def test_a_verdict_names_the_change_and_whom_it_breaks(held) -> None:
    await held.active(price())
    with pytest.raises(IncompatibleSchema) as refused:
        await held.register(price("amount", amount=NUMBER))
    error = refused.value
    assert error.consumers == ["order-service", "search-service"]
    [change] = error.violations
    assert (change["version"], change["pointer"], change["breaks"]) == (1, "/amount", "readers")
    assert "search-service" in error.message
    assert "schema mode" in error.remedy
    assert await states(held) == [(1, "active")]


async def test_modes_decide_what_is_refused(held) -> None:
    """A field that becomes required breaks readers of old events; one that is new breaks closed old readers."""
    await held.active(price())
    needs, more = price("amount", amount=NUMBER), price(amount=NUMBER)
    allowed = {
        Mode.NONE: (True, True), Mode.BACKWARD: (False, True), Mode.FORWARD: (False, False), Mode.FULL: (False, False),
    }  # fmt: skip
    for mode, wanted in allowed.items():
        await registry.set_mode(held.pool, SUBJECT, mode, "bob")
        found = await store.versions(held.pool, SUBJECT)
        got = tuple(registry.assess(found, file(2, one), CONSUMED).compatible for one in (needs, more))
        assert got == wanted, mode
    with pytest.raises(NotFound):
        await registry.set_mode(held.pool, "shop.no.such", Mode.FULL, "bob")


async def test_transitive_modes_hold_it_against_every_version_events_may_have(held) -> None:
    await held.active(price(a={"type": "string"}))
    await registry.set_mode(held.pool, SUBJECT, Mode.NONE, "bob")
    await held.active(price())
    await registry.deprecate(held.pool, SUBJECT, 1, "bob")
    candidate = file(3, price(a=NUMBER))
    for mode, against in ((Mode.BACKWARD, [2]), (Mode.BACKWARD_TRANSITIVE, [1, 2])):
        assessed = registry.assess(await store.versions(held.pool, SUBJECT), candidate, CONSUMED, mode)
        assert (assessed.against, assessed.compatible) == (against, mode is Mode.BACKWARD)
    assert {change.version for change in assessed.changes} == {1}


async def test_a_draft_that_breaks_somebody_is_promoted_by_force_alone(held) -> None:
    await held.register(price("amount", amount=NUMBER))
    await held.register(price())  # no version is active: nothing to break
    await held.promote(2)
    with pytest.raises(IncompatibleSchema):
        await held.promote(1)
    assert (await held.promote(1, force=True)).state == "active"
    assert (await store.version(held.pool, SUBJECT)).version == 2  # the newest active one


async def test_examples_that_fail_are_warned_of(held) -> None:
    done = await held.register({**price(), "examples": [{"sku": 1}]})
    [warning] = done.assessment.warnings
    assert warning.startswith("/examples/0: /sku")


@pytest.mark.parametrize("subject", ["", "a b", "a/b", "x" * 256, "a\x00b"])
async def test_what_is_no_event_type_is_refused(held, subject) -> None:
    with pytest.raises(InvalidInput, match="no event type"):
        await registry.register(held.pool, file(1, price(), subject), "alice")


async def test_files_are_registered_once_and_the_first_is_active(held) -> None:
    files = [file(2, price(a=NUMBER)), file(1, price())]
    for _ in range(2):
        assert await register_files(held.pool, files, CONSUMED) == []
        assert await states(held) == [(1, "active"), (2, "active")]
    assert await drifts(held.pool, files) == []


async def test_a_changed_file_is_refused_and_found(held, caplog) -> None:
    await register_files(held.pool, [file(1, price())], CONSUMED)
    changed = file(1, price(a=NUMBER))
    [drift] = await register_files(held.pool, [changed], CONSUMED)
    assert (drift.kind, drift.differences) == ("changed", ["/properties/a"])
    assert await drifts(held.pool, [changed]) == [drift]
    assert (await store.version(held.pool, SUBJECT, 1)).schema == price()
    [scope] = await drifts(held.pool, [file(1, {**price(), "x-scope": "event"})])
    assert scope.differences == ["scope", "/x-scope"]


async def test_a_file_that_breaks_somebody_waits_as_a_draft(held) -> None:
    first, second = file(1, price()), file(2, price("amount", amount=NUMBER))
    assert await register_files(held.pool, [first, second], CONSUMED) == []
    assert await states(held) == [(1, "active"), (2, "draft")]
    assert [(one.version, one.kind) for one in await drifts(held.pool, [first, second])] == [(2, "draft")]
    await held.promote(2, force=True)
    assert await drifts(held.pool, [first, second]) == []


async def test_a_file_older_than_the_active_version_waits_and_one_not_there_is_missing(held) -> None:
    await held.register(price(a=NUMBER), version=5, numbered=True)
    await held.promote(5)
    old = file(3, price(a=NUMBER, b=NUMBER))  # which breaks nobody
    assert [one.kind for one in await drifts(held.pool, [old])] == ["missing"]
    await register_files(held.pool, [old], CONSUMED)
    assert await states(held) == [(3, "draft"), (5, "active")]


def test_differences_name_the_outermost_places() -> None:
    assert differences({"a": {"b": 1, "c/d": [1]}, "e": 1}, {"a": {"b": 2, "c/d": [2]}, "f": 1}) == [
        "/a/b", "/a/c~1d", "/e", "/f",
    ]  # fmt: skip
    assert differences(1, True) == ["/"]
    assert differences({"a": 1}, {"a": 1}) == []
