"""Money is exact, and never finer than its currency."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from opsplane.commerce.money import MINOR_UNITS, Money
from opsplane.files.currencies import CURRENCIES


def test_written_with_the_currency_s_decimals() -> None:
    assert [str(Money.of(Decimal("2.500"), currency).amount) for currency in ("EUR", "KWD")] == [
        "2.50",
        "2.500",
    ]
    assert str(Money.of(Decimal("2500.000"), "JPY").amount) == "2500"
    assert msgspec.json.encode(Money(Decimal("0.10"), "EUR")) == b'{"amount":"0.10","currency":"EUR"}'


def test_multiplies_exactly() -> None:
    assert Money(Decimal("0.10"), "EUR").times(3) == Money(Decimal("0.30"), "EUR")


@pytest.mark.parametrize("text", ["-0.01", "0.001", "1e11", "Infinity", "NaN"])
def test_impossible_amounts_are_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"amount":"%s","currency":"EUR"}' % text.encode(), type=Money)


def test_knows_every_currency_an_import_takes() -> None:
    assert set(CURRENCIES) <= set(MINOR_UNITS)
