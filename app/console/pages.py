"""The table of all pages. A family of pages is a package with `PAGES`; it joins by one line."""

from collections.abc import Sequence
from typing import Final

from app.console.accounts import pages as accounts
from app.console.acts import pages as acts
from app.console.alerts import pages as alerts
from app.console.apps import pages as apps
from app.console.data_points import pages as data_points
from app.console.dead_letters import pages as dead_letters
from app.console.duplicates import pages as duplicates
from app.console.jobs import pages as jobs
from app.console.keys import pages as keys
from app.console.limits import pages as limits
from app.console.merging import pages as merging
from app.console.overview import pages as overview
from app.console.page import Page
from app.console.people import pages as people
from app.console.requests import pages as requests
from app.console.segments import pages as segments
from app.console.session import pages as session
from app.console.settings import pages as settings
from app.console.start import pages as start
from app.console.subscriptions import pages as subscriptions
from app.console.usage import pages as usage
from app.console.webhooks import pages as webhooks

#: In the order of the navigation.
FAMILIES: Final[dict[str, Sequence[Page]]] = {
    "start": start.PAGES,
    "session": session.PAGES,
    "accounts": accounts.PAGES,
    "overview": overview.PAGES,
    "limits": limits.PAGES,
    "usage": usage.PAGES,
    "people": people.PAGES,
    "merging": merging.PAGES,
    "duplicates": duplicates.PAGES,
    "segments": segments.PAGES,
    "subscriptions": subscriptions.PAGES,
    "alerts": alerts.PAGES,
    "webhooks": webhooks.PAGES,
    "keys": keys.PAGES,
    "requests": requests.PAGES,
    "dead_letters": dead_letters.PAGES,
    "jobs": jobs.PAGES,
    "data_points": data_points.PAGES,
    "apps": apps.PAGES,
    "settings": settings.PAGES,
    "acts": acts.PAGES,
}
PAGES: Final = tuple(page for pages in FAMILIES.values() for page in pages)
