"""The catalog's HTTP API. (Annotations are read at run time.)"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from litestar import Router, delete, get, patch, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.types import ControllerRouterHandler

from opsplane.commerce.catalog.model import NewProduct, Product, ProductChange, StockChange
from opsplane.commerce.catalog.products import Products
from opsplane.commerce.money import Money
from opsplane.service import Runtime
from opsplane.web import PUBLIC, Page, PageNumber, PageSize, paged, requires

STAFF = requires("operations_staff", "catalog_staff")
Catalog = NamedDependency[Products]


@get("/", operation_id="listProducts", security=PUBLIC)
async def list_products(
    products: Catalog,
    category: FromQuery[str | None] = None,
    page: PageNumber = 1,
    page_size: PageSize = 50,
) -> dict[str, Any]:
    """A page of the products on sale, ordered by sku."""
    wanted = Page(page, page_size)
    return paged(*await products.page(category, wanted), wanted)


@get("/{product_id:uuid}", operation_id="getProduct", security=PUBLIC)
async def get_product(products: Catalog, product_id: FromPath[UUID]) -> Product:
    """One product."""
    return await products.get(product_id)


@post("/", operation_id="createProduct", guards=[STAFF])
async def create_product(products: Catalog, data: JSONBody[NewProduct]) -> Product:
    """Add a product; 409 when its sku is taken."""
    return await products.create(data)


@patch("/{product_id:uuid}", operation_id="changeProduct", guards=[STAFF])
async def change_product(
    products: Catalog, product_id: FromPath[UUID], data: JSONBody[ProductChange]
) -> Product:
    """Change name, description, category or whether it is on sale."""
    return await products.change(product_id, data)


@put("/{product_id:uuid}/price", operation_id="setPrice", guards=[STAFF])
async def set_price(products: Catalog, product_id: FromPath[UUID], data: JSONBody[Money]) -> Product:
    """Set the price; orders placed from now on use it."""
    return await products.reprice(product_id, data)


@post("/{product_id:uuid}/stock", operation_id="changeStock", guards=[STAFF], status_code=200)
async def change_stock(products: Catalog, product_id: FromPath[UUID], data: JSONBody[StockChange]) -> Product:
    """Add pieces to the stock, or take some out; 409 when there are fewer."""
    return await products.restock(product_id, data)


@delete("/{product_id:uuid}", operation_id="deleteProduct", guards=[STAFF])
async def delete_product(products: Catalog, product_id: FromPath[UUID]) -> None:
    """Remove the product; orders keep what they hold."""
    await products.delete(product_id)


def api(runtime: Runtime) -> Sequence[ControllerRouterHandler]:
    """The handlers of `/api/v1/products`."""
    products = Products(runtime)
    return [
        Router(
            "/api/v1/products",
            route_handlers=[
                list_products, get_product, create_product, change_product, set_price, change_stock, delete_product,
            ],
            dependencies={"products": Provide(lambda: products, sync_to_thread=False)},
            tags=["products"],
        )
    ]  # fmt: skip
