"""The table of all pages. A family of pages is a package with `PAGES`; it joins by one line."""

from collections.abc import Sequence
from typing import Final

from app.console.keys import pages as keys
from app.console.page import Page
from app.console.session import pages as session
from app.console.start import pages as start

#: In the order of the navigation.
FAMILIES: Final[dict[str, Sequence[Page]]] = {
    "start": start.PAGES,
    "session": session.PAGES,
    "keys": keys.PAGES,
}
PAGES: Final = tuple(page for pages in FAMILIES.values() for page in pages)
