"""An address that everybody gave: how long it takes to apply what addresses it, alone and many at once."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from app.adapters.clock import now_us
from app.contract import aliases, deletion, identify, kinds, merge_request, subscriptions, track
from app.domain import sizes
from app.domain.commands import STREAM_NORMAL
from app.domain.identifiers import identifiers_of
from app.domain.profile import CHANNEL_EMAIL, CORE, CUSTOM, AddressState, Profile
from app.domain.state import State
from app.store import workspaces
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry
from app.store.profiles.save import save
from bench import data
from bench.options import Options
from bench.preload import CHUNK
from bench.stack import Site, Stack
from bench.table import BenchError, Row, say
from workers.apply import Applier

EVERYBODY: Final = "everybody@example.org"
GROUP: Final = "g1"
#: Requests of a flood.
MANY: Final = 200
#: Addresses in a request that names several.
EACH: Final = 5
#: The aim, on a machine that does nothing else.
GOAL_MS: Final = 1_000

Body = tuple[str, dict[str, Any]]


def measure(stack: Stack, options: Options) -> Iterator[Row]:
    """The age of the oldest request when its batch is committed, with `options.users` profiles on one address."""
    site = stack.site("crowd")
    seconds = _fill(site, options.users)
    say(f"  {options.users:,} profiles with one e-mail address written in {seconds:.0f} s")
    rows = []
    for name, request in _REQUESTS.items():
        for first, many in ((0, 1), (1, MANY)):
            lag, batches = _lag(site, [request(n) for n in range(first, first + many)])
            label = f"crowd of {options.users:,}, {stack.store}: {name}" + (f", {many} requests" if many > 1 else "")
            rows.append(Row(label, lag, "ms", None, f"{batches} batches"))
            say(f"  {rows[-1].what}: {lag:,.0f} ms")
            yield rows[-1]
    worst = max(rows, key=lambda row: row.ours)
    if worst.ours > GOAL_MS and not options.quick:
        raise BenchError(f"{worst.what}: {worst.ours:,.0f} ms")


def _fill(site: Site, users: int) -> float:
    """Profiles with one address; every second one has an external id, all of them have an alias."""
    began = time.monotonic()
    database = site.open()
    try:
        for first in range(0, users, CHUNK):
            part = State([_profile(number) for number in range(first, min(first + CHUNK, users))], complete=True)
            changes = part.changes
            for pid, one in part.profiles.items():
                changes.created.add(pid)
                changes.sections[pid] = CORE | CUSTOM
                changes.identifiers_added |= {(key, pid) for key in identifiers_of(one)}
            if first == 0:
                changes.addresses = {(CHANNEL_EMAIL, EVERYBODY, ""): AddressState("opted_in", data.WRITTEN_US)}
            with database.write() as connection:
                save(connection, site.workspace_id, part, {})
        with database.main.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("vacuum analyze" if database.is_postgresql else "analyze")
    finally:
        database.dispose()
    return time.monotonic() - began


def _profile(number: int) -> Profile:
    us = data.WRITTEN_US + number
    made = Profile(
        number + 1,
        f"{number:024x}",
        us,
        us,
        0,
        external_id=f"c{number}" if number % 2 else None,
        random_bucket=number % 10_000,
        core={"email": EVERYBODY, "aliases": {"crm": f"a{number}"}},
        custom={"n": number, "tier": "gold", "note": "x" * 200},
    )
    made.size = sizes.of(made.core) + sizes.of(made.custom) + sizes.ROW
    return made


def _who(*prioritization: str) -> dict[str, Any]:
    return {"email": EVERYBODY, "prioritization": prioritization}


_NEWEST: Final = _who("unidentified", "most_recently_updated")
_NEWEST_IDENTIFIED: Final = _who("identified", "most_recently_updated")
_OLDEST: Final = _who("identified", "least_recently_updated")


def _attributes(*objects: dict[str, Any]) -> Body:
    return "/users/track", {"attributes": [*objects]}


def _event(n: int) -> Body:
    return "/users/track", {"events": [{"email": EVERYBODY, "name": f"e{n % 9}", "time": "2026-11-20T00:00:00Z"}]}


def _identify(external_id: str, who: dict[str, Any]) -> Body:
    return "/users/identify", {"emails_to_identify": [{"external_id": external_id, **who}]}


def _merge(merged: dict[str, Any], kept: dict[str, Any]) -> Body:
    return "/users/merge", {"merge_updates": [{"identifier_to_merge": merged, "identifier_to_keep": kept}]}


def _alias(n: int) -> Body:
    return "/users/alias/new", {
        "user_aliases": [{"external_id": f"c{2 * n + 1}", "alias_label": "web", "alias_name": f"w{n}"}]
    }


def _state(n: int) -> dict[str, Any]:
    return {"subscription_group_id": GROUP, "subscription_state": ("subscribed", "unsubscribed")[n % 2]}


def _group(who: dict[str, Any], n: int) -> Body:
    return "/v2/subscription/status/set", {"subscription_groups": [{**who, **_state(n)}]}


def _checked_groups(content: bytes) -> Any:
    return subscriptions.checked(subscriptions.read_several(content), {GROUP: CHANNEL_EMAIL})


def _delete(*who: dict[str, Any]) -> Body:
    return "/users/delete", {"email_addresses": [*who]}


#: Request number n of each kind. All but the one about aliases choose from the crowd.
_REQUESTS: Final[dict[str, Callable[[int], Body]]] = {
    "attributes": lambda n: _attributes({"email": EVERYBODY, "n": n}),
    "events": _event,
    "subscription state": lambda n: _attributes(
        {"email": EVERYBODY, "email_subscribe": ("opted_in", "subscribed")[n % 2]}
    ),
    "group by the address": lambda n: _group({"emails": [EVERYBODY]}, n),
    "group by a member": lambda n: _group({"external_id": f"c{2 * n + 1}"}, n),
    "group of an object": lambda n: _attributes({"external_id": f"c{2 * n + 1}", "subscription_groups": [_state(n)]}),
    "global state": lambda n: (
        "/email/status",
        {"email": EVERYBODY, "subscription_state": ("opted_in", "subscribed")[n % 2]},
    ),
    "joining": lambda n: _attributes({"external_id": f"new{n}", "email": EVERYBODY}, {"email": EVERYBODY, "n": n}),
    "members": lambda n: _attributes(
        *({"external_id": f"c{2 * (EACH * n + i) + 1}", "n": n} for i in range(EACH - 1)), {"email": EVERYBODY, "n": n}
    ),
    "ambiguous": lambda n: _identify(f"amb{n}", _who("unidentified")),
    "identified": lambda n: _identify(f"id{n}", _NEWEST),
    "combined": lambda n: _identify(f"c{2 * n + 1}", _NEWEST),
    "merged": lambda _: _merge(_NEWEST, _NEWEST_IDENTIFIED),
    "the oldest merged": lambda n: _merge(_OLDEST, {"external_id": f"c{5_001 + 2 * (n % 9)}"}),
    "aliases": _alias,
    "deleted": lambda _: _delete(_NEWEST),
    "the oldest deleted": lambda n: _delete(*[_OLDEST] * (50 if n == 0 else 2)),
    "deleted from both ends": lambda n: _delete((_NEWEST, _OLDEST)[n % 2]),
}


_ACCEPT: Final[dict[str, Callable[[bytes], Any]]] = {
    "/users/identify": identify.check,
    "/users/merge": merge_request.check,
    "/users/alias/new": aliases.check_new,
    "/users/delete": deletion.check,
    "/email/status": subscriptions.check_email_status,
    "/v2/subscription/status/set": _checked_groups,
}


def _entry(path: str, body: dict[str, Any]) -> Entry:
    content = msgspec.json.encode(body)
    if path == "/users/track":
        accepted = track.check(content, track.Limits(data.OBJECTS, None), groups={GROUP: CHANNEL_EMAIL})
        return Entry(kinds.TRACK, accepted.codec, accepted.body)
    queued = _ACCEPT[path](content)
    return Entry(queued.kind, queued.codec, queued.body)


class _Silent:
    def clear(self, workspace_id: int) -> None:
        """Nobody rings here."""


def _lag(site: Site, bodies: list[Body]) -> tuple[float, int]:
    """Accept the requests at once, and apply them with a worker that has seen nothing yet: (lag in ms, batches)."""
    database = site.open(apply=True)
    try:
        applier = Applier(database, _Silent(), now_us, lambda number: workspaces.secret(database, number))
        entries = [_entry(*body) for body in bodies]
        with database.write(database.inbox) as connection:
            inbox.append(connection, site.workspace_id, STREAM_NORMAL, entries, now_us())
        began = time.monotonic()
        summary = applier.drain(site.workspace_id, 60, 60)
        lag = (time.monotonic() - began) * 1000
    finally:
        database.dispose()
    if summary.dead or summary.requests != len(bodies):
        raise BenchError(f"{summary.requests} of {len(bodies)} requests were applied, {summary.dead} could not be")
    return lag, summary.batches
