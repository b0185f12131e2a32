"""Which column of a file fills which of the entity."""

from __future__ import annotations

import pytest

from opsplane.files import Column, Entity
from opsplane.files.mapping import MappingRejected, match_columns

THING = Entity(
    "thing",
    "thing",
    (
        Column("code", key=True),
        Column("unitPrice", "decimal", required=True),
        Column("currency", required=True, default="EUR"),
        Column("note"),
        Column("version", "int", generated=True),
    ),
)


def filled(header: list[str], mapping: dict[str, str] | None = None) -> dict[str, int]:
    return {one.column.name: one.place for one in match_columns(header, THING, mapping or {})}


@pytest.mark.parametrize("price", ["unitPrice", "UNITPRICE", "unit price", "Unit-Price", "unit_price"])
def test_names_match_whatever_their_case_and_dashes(price: str) -> None:
    assert filled([price, "Code"]) == {"unitPrice": 0, "code": 1}


def test_a_mapping_names_and_leaves_out() -> None:
    header = ["Artikel", "Preis", "Bemerkung"]
    mapping = {"Artikel": "code", "Preis": "unitPrice", "Bemerkung": ""}
    assert filled(header, mapping) == {"code": 0, "unitPrice": 1}


def test_columns_of_an_error_file_are_left_out() -> None:
    assert filled(["code", "unitPrice", "error_line", "error_message"]) == {"code": 0, "unitPrice": 1}


@pytest.mark.parametrize(
    ("header", "mapping", "pointer", "words"),
    [
        (["code", "unitPrice", "colour"], {}, "/colour", "no column 'colour'"),
        (["code", "unitPrise", "unitPrice"], {}, "/unitPrise", "Did you mean 'unitPrice'?"),
        (["code"], {}, "/unitPrice", "which is required"),
        (["code", "unitPrice", "unit_price"], {}, "/unit_price", "filled by two columns"),
        (["code", "unitPrice"], {"cod": "code"}, "/cod", "Did you mean 'code'?"),
        (["code", "unitPrice", "x"], {"x": "cost"}, "/x", "no column 'cost'"),
        (["code", "unitPrice", "version"], {}, "/version", "no column 'version' to import"),
    ],
)
def test_what_does_not_fit_is_named(
    header: list[str], mapping: dict[str, str], pointer: str, words: str
) -> None:
    with pytest.raises(MappingRejected) as told:
        filled(header, mapping)
    [violation] = told.value.violations
    assert violation["pointer"] == pointer
    assert words in violation["message"]


def test_everything_wrong_is_named_at_once() -> None:
    with pytest.raises(MappingRejected) as told:
        filled(["colour", "size"])
    assert [one["pointer"] for one in told.value.violations] == ["/colour", "/size", "/code", "/unitPrice"]
