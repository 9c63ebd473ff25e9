"""GET /v1/spam_blocks: what may be asked for. An endpoint of our own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.contract.errors import RefusedError

DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 100

BAD_PAGE: Final = f"'limit' must be a number from 1 to {MAX_PAGE}, 'cursor' the next_cursor of another page"


@dataclass(frozen=True, slots=True)
class Page:
    """Behind a profile's number, at most so many."""

    after: int
    limit: int


def read_page(parameters: Mapping[str, str]) -> Page:
    """The query of the list. Raises RefusedError(400)."""
    limit, after = parameters.get("limit", str(DEFAULT_PAGE)), parameters.get("cursor", "-1")
    if not (limit.isascii() and limit.isdigit() and len(limit) < 6 and 1 <= int(limit) <= MAX_PAGE):
        raise RefusedError(400, BAD_PAGE)
    if "cursor" in parameters and not (after.isascii() and after.isdigit() and len(after) < 19):
        raise RefusedError(400, BAD_PAGE)
    return Page(int(after), int(limit))
