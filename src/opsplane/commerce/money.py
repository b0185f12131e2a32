"""Money: a decimal amount with an ISO 4217 currency, never finer than the currency's minor unit."""

from __future__ import annotations

from decimal import Decimal

import msgspec

LARGEST = Decimal(10) ** 11
_NO_MINOR = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE_DIGITS = "BHD IQD JOD KWD LYD OMR TND"
_TWO_DIGITS = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC
    CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR
    JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD
    NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN
    SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
MINOR_UNITS: dict[str, int] = {
    **dict.fromkeys(_TWO_DIGITS.split(), 2),
    **dict.fromkeys(_NO_MINOR.split(), 0),
    **dict.fromkeys(_THREE_DIGITS.split(), 3),
}


class Money(msgspec.Struct, frozen=True):
    """An amount of a currency; in JSON `{"amount": "12.50", "currency": "EUR"}`, the amount a string.

    Raises `ValueError` for an unknown currency, and for an amount that is negative, too large or too fine.
    """

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        digits = MINOR_UNITS.get(self.currency)
        if digits is None:
            raise ValueError(f"{self.currency!r} is no ISO 4217 currency code")
        if not self.amount.is_finite() or not 0 <= self.amount < LARGEST:
            raise ValueError(f"an amount is between 0 and {LARGEST}")
        if self.amount != round(self.amount, digits):
            raise ValueError(f"an amount of {self.currency} has at most {digits} decimals")

    @classmethod
    def of(cls, amount: Decimal, currency: str) -> Money:
        """The money a database column holds, written with the currency's own number of decimals."""
        return cls(round(amount, MINOR_UNITS[currency]), currency)

    def times(self, quantity: int) -> Money:
        """The price of `quantity` pieces."""
        return Money.of(self.amount * quantity, self.currency)
