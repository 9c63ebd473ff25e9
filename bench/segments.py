"""Counting segments: the article's two filters, filters of each kind, X in Y days. Floors are a bare count and scan."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from sqlalchemy import Connection, text
from sqlmodel import SQLModel

from app.contract.segments import read_definition
from app.domain import sizes
from app.domain.profile import CORE, CUSTOM, DEVICES, EVENTS, NAME_EVENT, PURCHASES
from app.domain.state import State
from app.domain.times import DAY
from app.store.engine import Database
from app.store.profiles.save import save
from app.store.segments import run
from app.store.segments.patterns import is_pattern
from app.store.tables import ProfileCore, ProfileCustom, ProfilePart, ProfileRow
from bench import data, preload
from bench.options import Options
from bench.stack import Site, Stack
from bench.table import BenchError, Row, median, say

#: Ten times the profiles of the other rows: a million.
TIMES: Final = 10
#: Occurrences of each profile.
OCCURRENCES: Final = 5
#: Profiles that are made here; the others are made of them by the database.
TEMPLATES: Final = 1_000
ROUNDS: Final = 3
NOW_US: Final = data.WRITTEN_US + 40 * DAY
EVENT: Final = "viewed"
_WRITTEN: Final = CORE | CUSTOM | EVENTS | PURCHASES | DEVICES
#: Seconds that a filter may take, and those of the article, on PostgreSQL.
GOAL, ARTICLE_GOAL = 3.0, 1.0

_BLANK: Final = {"field": "external_id", "op": "is_blank"}
_LEAD: Final = {"field": "custom_attribute", "name": "is_lead_profile", "op": "is_true"}
_ATTRIBUTE: Final = {"field": "custom_attribute"}
_WINDOW: Final = {"field": "x_events_in_y_days", "name": EVENT, "op": "more_than", "x": 2, "y": 30}
ARTICLE: Final = "the article's two filters"
#: What is counted; in a list, filters that all have to match.
COUNTED: Final[dict[str, list[dict[str, Any]]]] = {
    ARTICLE: [_BLANK, _LEAD],
    "external_id is_blank": [_BLANK],
    "attribute is_true": [_LEAD],
    "attribute is_false": [{**_ATTRIBUTE, "name": "member", "op": "is_false"}],
    "attribute less_than": [{**_ATTRIBUTE, "name": "visits", "op": "less_than", "value": 25}],
    "attribute equals": [{**_ATTRIBUTE, "name": "field_0", "op": "equals", "value": "gold"}],
    "attribute does_not_equal": [{**_ATTRIBUTE, "name": "field_3", "op": "does_not_equal", "value": "gold"}],
    "attribute matches_regex": [{**_ATTRIBUTE, "name": "field_0", "op": "matches_regex", "value": "^g.*d$"}],
    "array includes_value": [{**_ATTRIBUTE, "name": "tags", "op": "includes_value", "value": "three"}],
    "nested equals": [{**_ATTRIBUTE, "name": "address.city", "op": "equals", "value": "Madrid"}],
    "first_name is_any_of": [{"field": "first_name", "op": "is_any_of", "value": ["Ana", "Maria"]}],
    "email matches_regex, few": [{"field": "email_address", "op": "matches_regex", "value": r"id99.*@example\.org$"}],
    "email matches_regex, all": [{"field": "email_address", "op": "matches_regex", "value": ".+@.+"}],
    "email_subscription_status": [{"field": "email_subscription_status", "op": "equals", "value": "subscribed"}],
    "age more_than": [{"field": "age", "op": "more_than", "value": 18}],
    "custom_event at_least": [{"field": "custom_event", "name": "opened_app", "op": "at_least", "value": 40}],
    "last_did": [{"field": "last_did", "name": "opened_app", "op": "less_than_x_days_ago", "value": 60}],
    "purchased_product": [{"field": "purchased_product", "op": "equals", "value": "lamp"}],
    "device_os": [{"field": "device_os", "op": "contains_any_of", "value": ["Android"]}],
    "session_count": [{"field": "session_count", "op": "more_than", "value": 0}],
    "more than 2 events in 30 days": [_WINDOW],
    "the same, with a property": [{**_WINDOW, "property": {"name": "n", "op": "less_than", "value": 3}}],
    "less than 1 event in 7 days": [{**_WINDOW, "op": "less_than", "x": 1, "y": 7}],
}


def measure(stack: Stack, options: Options) -> Iterator[Row]:
    """Seconds for each count, with what was found. Raises BenchError for a wrong count or a missed goal."""
    site, users = stack.site("segments"), options.users * TIMES
    say(f"  {users:,} profiles and {users * OCCURRENCES:,} occurrences written in {_fill(site, users):.0f} s")
    database = site.open()
    slow = []
    try:
        count, scan = (_timed(database, _bare(site, sql))[0] for sql in _FLOORS)
        say(f"  floors: bare count {count:.2f} s, bare scan of attributes {scan:.2f} s")
        yield Row(f"segments, {stack.store}: bare count of {users:,}", count * 1000, "ms")
        yield Row(f"segments, {stack.store}: bare scan of attributes", scan * 1000, "ms")
        for name, filters in COUNTED.items():
            definition = read_definition({"groups": [{"filters": filters}]}, is_pattern, lambda _: None)
            seconds, found = _timed(
                database,
                lambda connection, d=definition: run.count(connection, site.workspace_id, d, NOW_US),  # type: ignore[misc]
            )
            if name == ARTICLE and found != users // 10:
                raise BenchError(f"{name}: {found:,} people instead of {users // 10:,}")
            yield Row(f"segments, {stack.store}: {name}", seconds * 1000, "ms", scan * 1000, f"{found:,} people")
            say(f"  {name}: {seconds:.2f} s, {found:,}")
            if seconds > (ARTICLE_GOAL if name == ARTICLE else GOAL):
                slow.append(f"{name}: {seconds:.2f} s")
    finally:
        database.dispose()
    if slow and not options.quick and stack.postgres is not None:
        raise BenchError(f"slower than the aim: {'; '.join(slow)}")


_FLOORS: Final = (
    "select count(*) from profile where workspace_id = :w",
    "select count(*) from profile_custom where workspace_id = :w and cast(doc as text) like '%no such text%'",
)


def _bare(site: Site, sql: str) -> Callable[[Connection], int]:
    def counted(connection: Connection) -> int:
        run.allow_scans(connection)
        return int(connection.execute(text(sql), {"w": site.workspace_id}).scalar_one())

    return counted


def _timed(database: Database, work: Callable[[Connection], int]) -> tuple[float, int]:
    """(median of some rounds in seconds, what was found)."""
    seconds, found = [], 0
    for _ in range(ROUNDS):
        with database.read() as connection:
            began = time.monotonic()
            found = work(connection)
            seconds.append(time.monotonic() - began)
    return median(seconds), found


def _fill(site: Site, users: int) -> float:
    """Every second profile is anonymous, every tenth of all a lead."""
    began = time.monotonic()
    database = site.open()
    try:
        with database.write() as connection:
            if database.is_postgresql:
                connection.execute(text("set local statement_timeout = 0"))
            save(connection, site.workspace_id, _templates(), {})
            _multiply(connection, site, users // TEMPLATES - 1, database.is_postgresql)
            _occurrences(connection, site, users, database.is_postgresql)
        with database.main.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if database.is_postgresql:
                connection.exec_driver_sql("set statement_timeout = 0")
            connection.exec_driver_sql("vacuum analyze" if database.is_postgresql else "analyze")
    finally:
        database.dispose()
    return time.monotonic() - began


def _templates() -> State:
    made = [preload.profile(number) for number in range(TEMPLATES)]
    for number, one in enumerate(made):
        if number % 2:
            one.external_id = None
        if number % 10 == 1:
            one.custom = {**(one.custom or {}), "is_lead_profile": True}
        one.size = sizes.of_profile(one)
    part = State(made, complete=True)
    for pid in part.profiles:
        part.changes.created.add(pid)
        part.changes.sections[pid] = _WRITTEN
    part.changes.names.add((NAME_EVENT, EVENT))
    return part


def _multiply(connection: Connection, site: Site, copies: int, postgresql: bool) -> None:
    """The templates again and again, each time with other numbers."""
    each = "generate_series(1, :copies) as each(k)" if postgresql else _SERIES
    for model in (ProfileRow, ProfileCore, ProfileCustom, ProfilePart):
        columns = [column.name for column in SQLModel.metadata.tables[str(model.__tablename__)].columns]
        hexadecimal = (
            "lpad(to_hex(:from + pid + k * :templates), 24, '0')"
            if postgresql
            else ("printf('%024x', :from + pid + k * :templates)")
        )
        changed = {
            "pid": "pid + k * :templates",
            "braze_id": hexadecimal,
            "external_id": "external_id || '-' || k",
            "doc": "replace(cast(doc as text), '@example.org', k || '@example.org')",
        }
        if model is not ProfileCore:
            del changed["doc"]
        selected = ", ".join(changed.get(name, name) for name in columns)
        connection.execute(
            text(
                f"insert into {model.__tablename__} ({', '.join(columns)}) select {selected}"
                f" from {model.__tablename__} cross join {each} where workspace_id = :w"
            ),
            {"w": site.workspace_id, "copies": copies, "templates": TEMPLATES, "from": 1 << 40},
        )


_SERIES: Final = (
    "(with recursive each(k) as (select 1 union all select k + 1 from each where k < :copies) select k from each)"
)


def _occurrences(connection: Connection, site: Site, users: int, postgresql: bool) -> None:
    each = "generate_series(1, :copies) as each(k)" if postgresql else _SERIES
    properties = "jsonb_build_object('n', k % 10)" if postgresql else "json_object('n', k % 10)"
    day = f"({NOW_US} / {DAY} - 1 - k % 29)"
    connection.execute(
        text(
            "insert into occurrence (workspace_id, day, stream, seq, ordinal, pid, name_id, time_us,"
            f" app_id, properties, quantity, cents) select :w, {day}, 0, k, 0, 1 + (k * 7919) % :users,"
            f" (select id from name where workspace_id = :w and name = :event), {day} * {DAY} + k % 1000, null,"
            f" {properties}, 1, 0 from {each}"
        ),
        {"w": site.workspace_id, "copies": users * OCCURRENCES, "users": users, "event": EVENT},
    )
