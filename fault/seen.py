"""What the API shows of visitors, against the books of them."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, Final
from urllib.parse import urlencode

from sqlalchemy import text

from fault.delivery import Answer, Connections, connected, rendered
from fault.stack import Stack, Workspace
from fault.visitors import Visitor, Visitors, shown

EXPORTED_AT_ONCE: Final = 50
ASKED_AT_ONCE: Final = 8
#: As far as series go back.
DAYS: Final = 100
_PROFILES: Final = text("select count(*) from profile where workspace_id = :workspace_id")


async def seen(stack: Stack, site: Workspace, books: Visitors) -> list[str]:
    """What the API shows, of everybody and of the apps as a whole, against the books."""
    async with connected(stack.ports) as connections:
        api = _Api(connections, site.key)
        try:
            found = [*await _profiles(api, books), *await _series(api, books)]
        except LookupError as error:
            return [f"books: {error}"]
    with stack.database.read() as connection:
        there = connection.execute(_PROFILES, {"workspace_id": site.id}).scalar_one()
    if there != len(books.everybody()):
        found.append(f"books: {there} profiles for {len(books.everybody())} visitors")
    return found


class _Api:
    """Reads with a REST key. Raises LookupError where it gets none, or none of now."""

    def __init__(self, connections: Connections, key: str) -> None:
        self._connections = connections
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._turn = asyncio.Semaphore(ASKED_AT_ONCE)

    async def export(self, selector: dict[str, Any]) -> list[dict[str, Any]]:
        body = json.dumps(selector).encode()
        answer = await self._ask(rendered("/users/export/ids", self._headers, body))
        return [shown(user) for user in json.loads(answer.body)["users"]]

    async def total(self, path: str, member: str, **query: object) -> float:
        """The sum of a series."""
        words = urlencode({"length": DAYS, **query})
        data = rendered(f"{path}?{words}", self._headers, b"").replace(b"POST", b"GET", 1)
        answer = await self._ask(data)
        return float(sum(day[member] for day in json.loads(answer.body)["data"]))

    async def _ask(self, data: bytes) -> Answer:
        async with self._turn:
            for _ in range(20):
                answer = await self._connections.ask(data)
                if 200 <= answer.status < 300 and "x-onefold-stale" not in answer.headers:
                    return answer
                await asyncio.sleep(0.5)
        raise LookupError(f"answered {answer.status} {answer.body.decode(errors='replace')[:200]}, or stale")


async def _profiles(api: _Api, books: Visitors) -> list[str]:
    known, nameless = list(books.people), [v for v in books.everybody() if v.external_id is None]
    exports: list[Coroutine[Any, Any, list[dict[str, Any]]]] = [
        api.export({"external_ids": known[first : first + EXPORTED_AT_ONCE]})
        for first in range(0, len(known), EXPORTED_AT_ONCE)
    ]
    exports += [api.export({"device_id": device}) for visitor in nameless for device in visitor.devices]
    users = [user for part in await asyncio.gather(*exports) for user in part]
    by_name = {user["external_id"]: user for user in users if user["external_id"] is not None}
    by_device = {tuple(user["devices"]): user for user in users if user["external_id"] is None}
    found = []
    for visitor in books.everybody():
        expected = books.expected(visitor)
        user = by_name.get(visitor.external_id) if visitor.external_id else by_device.get(tuple(expected["devices"]))
        if user != expected:
            found.append(f"books: {_who(visitor)} {_difference(user, expected)}")
    if len(users) != len(books.everybody()):
        found.append(f"books: {len(users)} profiles are shown for {len(books.everybody())} visitors")
    return found[:5]


def _who(visitor: Visitor) -> str:
    return visitor.external_id or f"the visitor of {min(visitor.devices)}"


def _difference(user: dict[str, Any] | None, expected: dict[str, Any]) -> str:
    if user is None:
        return "has no profile"
    return "; ".join(f"{name}: {user[name]} for {wanted}" for name, wanted in expected.items() if user[name] != wanted)


async def _series(api: _Api, books: Visitors) -> list[str]:
    wanted: list[tuple[str, str, dict[str, object], float]] = [
        ("/events/data_series", "count", {"app_id": app, "event": name}, count)
        for (app, name), count in books.events.items()
    ]
    wanted += [("/sessions/data_series", "sessions", {"app_id": app}, n) for app, n in books.sessions.items()]
    wanted += [("/purchases/quantity_series", "purchase_quantity", {"app_id": app}, n) for app, n in books.sold.items()]
    wanted += [("/purchases/revenue_series", "revenue", {"app_id": app}, n / 100) for app, n in books.cents.items()]
    sums = await asyncio.gather(*(api.total(path, member, **query) for path, member, query, _ in wanted))
    return [
        f"series: {path} {query.get('event', '')} {total:g} for {expected:g}"
        for (path, _, query, expected), total in zip(wanted, sums, strict=True)
        if round(total, 2) != round(expected, 2)
    ]
