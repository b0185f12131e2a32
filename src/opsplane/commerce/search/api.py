"""The search service's HTTP API. (Annotations are read at run time.)"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

from litestar import Router, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, QueryParameter
from litestar.types import ControllerRouterHandler

from opsplane.commerce.search import repository
from opsplane.commerce.search.model import Sort, Wanted
from opsplane.database import Pool
from opsplane.service import Runtime
from opsplane.web import PUBLIC, Page, PageNumber, PageSize, paged

Index = NamedDependency[Pool]
Text = Annotated[str | None, QueryParameter(max_length=200, required=False)]
MinPrice = Annotated[Decimal | None, QueryParameter(name="minPrice", required=False)]
MaxPrice = Annotated[Decimal | None, QueryParameter(name="maxPrice", required=False)]
InStock = Annotated[bool | None, QueryParameter(name="inStock")]


@get("/", operation_id="searchProducts", security=PUBLIC)
async def search_products(
    *,
    index: Index,
    q: Text = None,
    category: FromQuery[str | None] = None,
    min_price: MinPrice = None,
    max_price: MaxPrice = None,
    currency: FromQuery[str | None] = None,
    in_stock: InStock = None,
    sort: FromQuery[Sort] = "relevance",
    page: PageNumber = 1,
    page_size: PageSize = 20,
) -> dict[str, Any]:
    """A page of the products that have every word of `q` (the last one may be a beginning), with `facets`.

    Facets count the categories of everything that matches, whichever category is asked for.
    """
    part = Page(page, page_size)
    wanted = Wanted(q, category, min_price, max_price, currency, in_stock, sort)
    hits, total, facets = await repository.search(index, wanted, part)
    return {**paged(hits, total, part), "facets": {"category": facets}}


def api(runtime: Runtime) -> Sequence[ControllerRouterHandler]:
    """The handler of `/api/v1/search`."""
    return [
        Router(
            "/api/v1/search",
            route_handlers=[search_products],
            dependencies={"index": Provide(lambda: runtime.pool, sync_to_thread=False)},
            tags=["search"],
        )
    ]
