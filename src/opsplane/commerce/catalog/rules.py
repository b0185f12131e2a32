"""What JSON Schema cannot say about the catalog's events."""

from __future__ import annotations

from opsplane.commerce.catalog import model
from opsplane.events.schemas import Rules, ascending, each, not_in_the_future, positive_when

_updated = not_in_the_future("updatedAt")
_changed = not_in_the_future("changedAt")
_prices = ascending("specialPrice", "salePrice", "regularPrice")
_in_stock = positive_when("availability", "in_stock", "stock")

rules: Rules = {
    model.CREATED: (_updated,),
    model.UPDATED: (_updated,),
    model.BULK_IMPORTED: (each("products", _updated),),
    model.PRICE_UPDATED: (_prices, _changed),
    model.STOCK_CHANGED: (_in_stock, _changed),
}
