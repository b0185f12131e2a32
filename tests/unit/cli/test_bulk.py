"""What the bulk commands make of their options before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from opsplane.cli.bulk import find_entity
from opsplane.cli.exports import _filters
from opsplane.cli.imports import _mapping
from opsplane.cli.operations import Refused, raise_refused
from opsplane.cli.transfer import vacant
from opsplane.errors import Conflict, InvalidInput, OpsplaneError, Unavailable


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["status=CONFIRMED"], {"status": {"eq": "CONFIRMED"}}),
        (["total>=10", "total<20"], {"total": {"ge": "10", "lt": "20"}}),
        (["reason!=a=b", "customer_id~x>y"], {"reason": {"ne": "a=b"}, "customer_id": {"contains": "x>y"}}),
        (["reason="], {"reason": {"eq": ""}}),
    ],
)
def test_filters_compare_columns(given: list[str], wanted: dict[str, Any]) -> None:
    assert _filters(find_entity("order", importing=False), given) == wanted


@pytest.mark.parametrize("given", [["status"], ["=x"], ["statsu=x"], ["total=1", "total=2"]])
def test_a_filter_that_compares_nothing_is_refused(given: list[str]) -> None:
    with pytest.raises(InvalidInput):
        _filters(find_entity("order", importing=False), given)


def test_a_mapping_may_have_equals_signs_in_the_files_column_and_leave_one_out() -> None:
    product = find_entity("product", importing=True)
    assert _mapping(product, ["Preis = netto=price", "Notiz="]) == {"Preis = netto": "price", "Notiz": ""}
    for wrong in ("price", "=price", "Preis=prise"):
        with pytest.raises(InvalidInput):
            _mapping(product, [wrong])


def test_an_entity_for_export_only_cannot_be_imported() -> None:
    with pytest.raises(InvalidInput) as caught:
        find_entity("order", importing=True)
    assert caught.value.remedy == "Entities: customer, product."


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (403, b'{"detail": "no", "remedy": "ask"}', Refused, "no ask"),
        (503, b"upstream connect error", Unavailable, "upstream connect error"),
        (502, b"", Refused, "status 502"),
    ],
)
def test_an_answer_that_is_an_error_is_raised_with_its_words(
    status: int, body: bytes, kind: type[OpsplaneError], words: str
) -> None:
    with pytest.raises(kind) as caught:
        raise_refused(status, body)
    assert words in str(caught.value)
    assert caught.value.status == status


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    vacant(target, force=False)
    target.touch()
    vacant(target, force=True)
    with pytest.raises(Conflict):
        vacant(target, force=False)
