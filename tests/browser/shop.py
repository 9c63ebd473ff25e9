"""A workspace with an app, and a page of somebody's site that has the web SDK; what came of it, from the outside."""

import json
from typing import Any, Final
from urllib.parse import quote

from tests.browser.chromium import Page, Visitor
from tests.e2e.service import Service
from tests.polling import until

Json = dict[str, Any]

_PAGE: Final = """\
<!doctype html><meta charset="utf-8"><title>Shop</title><link rel="icon" href="data:,">
<script src="%s/sdk/onefold.js"></script>
<script>
  const options = JSON.parse(decodeURIComponent(location.hash.slice(1)));
  onefold.initialize("%s", { flushIntervalInSeconds: 0.1, ...options });
  onefold.openSession();
</script>
<form id="checkout" onsubmit="return false">
  <input name="email"><input name="fname"><input name="coupon"><input name="note" type="password">
  <input name="cc-number"><button>Buy</button>
</form>
"""


class Shop:
    """Its pages are at `/`; the options of `onefold.initialize` stand behind the `#`."""

    def __init__(self, onefold: Service) -> None:
        self.onefold = onefold
        self.key = onefold.workspace("legacy")
        status, app, _ = onefold.call("POST", "/v1/apps", {"name": "Shop", "platform": "web"}, self.key)
        assert status == 201, app
        self.app_id: str = app["app_id"]
        self.sdk_key: str = app["sdk_key"]
        self.origin = ""

    @property
    def pages(self) -> dict[str, str]:
        return {"/": _PAGE % (self.onefold.url, self.sdk_key), "/empty": ""}

    def visit(self, visitor: Visitor, **options: object) -> Page:
        return visitor.page(f"{self.origin}/#{quote(json.dumps(options))}")

    def people(self) -> list[Json]:
        """Everybody, the oldest first, as an export shows them."""
        return everybody(self.onefold, self.key)

    def person(self, wanted: "dict[str, int] | None" = None) -> Json:
        """The only one there is, once each of these events was counted so often."""
        return until(lambda: self._only(wanted or {}), 15, 0.05, f"nobody with {wanted}: {self.people()}")

    def _only(self, wanted: dict[str, int]) -> Json:
        people = self.people()
        return people[0] if len(people) == 1 and events(people[0]).items() >= wanted.items() else {}


def everybody(onefold: Service, key: str) -> list[Json]:
    """Everybody of a workspace, the oldest first: what GET /v1/profiles/{braze_id} shows, and the timeline."""
    _, listed, _ = onefold.call("GET", "/v1/profiles?limit=100", None, key)
    found = []
    for row in reversed(listed["profiles"]):
        status, shown, _ = onefold.call("GET", f"/v1/profiles/{row['braze_id']}", None, key)
        if status == 200:  # else merged away in the meantime
            found.append(shown["profile"] | {"timeline": shown["timeline"]})
    return found


def events(person: Json) -> dict[str, int]:
    """How often each event was counted."""
    return {one["name"]: one["count"] for one in person.get("custom_events", ())}


def trail(person: Json) -> list[str]:
    """The elements of the array `trail`, in the order in which they came to it."""
    found: list[str] = person["custom_attributes"]["trail"]
    return found
