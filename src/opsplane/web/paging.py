"""Pages of a list: `page` and `pageSize` in, items with totals out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from opsplane.errors import InvalidInput

T = TypeVar("T")
MAX_PAGE_SIZE = 500


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted; pages count from 1."""

    number: int = 1
    size: int = 50

    def __post_init__(self) -> None:
        if self.number < 1 or not 1 <= self.size <= MAX_PAGE_SIZE:
            raise InvalidInput(
                f"page must be at least 1 and pageSize between 1 and {MAX_PAGE_SIZE}.",
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
