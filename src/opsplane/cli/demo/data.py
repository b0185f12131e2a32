"""Demo data: the same for the same seed, written as the csv files a user would import."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterable, Iterator
from decimal import Decimal

from opsplane.cli.demo.words import CATEGORIES, TONGUES, Tongue

PRODUCTS = 10_000
CUSTOMERS = 2_000
_CENTS = {"JPY": 0, "KRW": 0, "KWD": 3}
PRODUCT_COLUMNS = ("sku", "name", "description", "category", "price", "currency", "stock", "active")
CUSTOMER_COLUMNS = ("email", "name", "phone")


def products_file(seed: int, count: int = PRODUCTS) -> bytes:
    """A csv file of products in many scripts; three in five are sold in euros, one in fifty is out of stock."""
    return _file(PRODUCT_COLUMNS, _products(random.Random(seed), count))  # noqa: S311  data, not secrets


def customers_file(seed: int, count: int = CUSTOMERS) -> bytes:
    """A csv file of customers in many scripts; they have no password and cannot sign in."""
    return _file(CUSTOMER_COLUMNS, _customers(random.Random(seed + 1), count))  # noqa: S311  data, not secrets


def _products(chance: random.Random, count: int) -> Iterator[tuple[object, ...]]:
    for number in range(1, count + 1):
        tongue = _any_tongue(chance)
        quality, thing = chance.choice(tongue.qualities), chance.choice(tongue.things)
        name = tongue.between.join((quality, f"{thing} {number}"))
        digits = _CENTS.get(tongue.currency, 2)
        price = Decimal(chance.randint(100, 20_000)).scaleb(-digits)
        stock = 0 if chance.random() < 0.02 else chance.randint(50, 5_000)
        category = chance.choice(CATEGORIES)
        yield f"DEMO-{number:05d}", name, tongue.text, category, price, tongue.currency, stock, "true"


def _customers(chance: random.Random, count: int) -> Iterator[tuple[object, ...]]:
    for number in range(1, count + 1):
        tongue = chance.choice(TONGUES)
        name = tongue.between.join((chance.choice(tongue.given), chance.choice(tongue.family)))
        phone = f"+{chance.randint(1, 99)} {chance.randint(100, 999)} {chance.randint(100_000, 999_999)}"
        yield f"demo-{number:05d}@example.org", name, phone if chance.random() < 0.7 else ""


def _any_tongue(chance: random.Random) -> Tongue:
    return chance.choices(TONGUES, [3 if tongue.currency == "EUR" else 1 for tongue in TONGUES])[0]


def _file(columns: Iterable[str], rows: Iterable[tuple[object, ...]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()
