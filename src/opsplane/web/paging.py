"""Pages of a list: `page` and `pageSize` in, items with totals out. (Annotations are read at run time.)"""

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from litestar.params import QueryParameter

from opsplane.errors import InvalidInput

T = TypeVar("T")
MAX_PAGE = 1_000_000  # the offset of any page is a number that a database takes
MAX_PAGE_SIZE = 500

PageNumber = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE)]
PageSize = Annotated[int, QueryParameter(name="pageSize", ge=1, le=MAX_PAGE_SIZE)]


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted; pages count from 1."""

    number: int = 1
    size: int = 50

    def __post_init__(self) -> None:
        if not 1 <= self.number <= MAX_PAGE or not 1 <= self.size <= MAX_PAGE_SIZE:
            raise InvalidInput(
                f"page must be between 1 and {MAX_PAGE} and pageSize between 1 and {MAX_PAGE_SIZE}.",
                violations=[
                    {
                        "pointer": "/page",
                        "keyword": "range",
                        "message": f"page={self.number} pageSize={self.size}",
                    }
                ],
            )

    @property
    def offset(self) -> int:
        """How many items come before this page."""
        return (self.number - 1) * self.size


def paged(items: list[T], total: int, page: Page) -> dict[str, Any]:
    """The answer to a list call: `data`, `page`, `pageSize`, `total`, `pages`."""
    pages = -(-total // page.size)
    return {"data": items, "page": page.number, "pageSize": page.size, "total": total, "pages": pages}
