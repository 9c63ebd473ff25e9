"""Counting segments: the article's two filters, filters of each kind, X in Y days. Floors are a bare count and scan."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from psycopg.errors import QueryCanceled
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from app.contract.segments import read_definition
from app.store.engine import Database
from app.store.segments import run
from app.store.segments.patterns import is_pattern
from bench import audience
from bench.options import Options
from bench.stack import Site, Stack
from bench.table import BenchError, Row, median, say

#: On PostgreSQL ten times the profiles of the other rows: a million.
TIMES: Final = 10
ROUNDS: Final = 3
#: Seconds that a filter may take, and those of the article, on PostgreSQL.
GOAL, ARTICLE_GOAL = 3.0, 1.0
#: A count is ended after so long.
TIMEOUT_SECONDS: Final = 30.0

_BLANK: Final = {"field": "external_id", "op": "is_blank"}
_LEAD: Final = {"field": "custom_attribute", "name": audience.LEAD, "op": "is_true"}
_ATTRIBUTE: Final = {"field": "custom_attribute"}
_WINDOW: Final = {"field": "x_events_in_y_days", "name": audience.EVENT, "op": "more_than", "x": 2, "y": 30}
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
    "array contains_value": [{**_ATTRIBUTE, "name": "tags", "op": "values_contain_any", "value": ["hre"]}],
    "first_name is_any_of": [{"field": "first_name", "op": "is_any_of", "value": ["Ana", "Maria"]}],
    "email matches_regex, few": [{"field": "email_address", "op": "matches_regex", "value": r"id99.*@example\.org$"}],
    "email matches_regex, all": [{"field": "email_address", "op": "matches_regex", "value": ".+@.+"}],
    "email_subscription_status": [{"field": "email_subscription_status", "op": "equals", "value": "subscribed"}],
    "age more_than": [{"field": "age", "op": "more_than", "value": 18}],
    "custom_event at_least": [{"field": "custom_event", "name": "opened_app", "op": "at_least", "value": 40}],
    "last_did": [{"field": "last_did", "name": "opened_app", "op": "less_than_x_days_ago", "value": 60}],
    "purchased_product": [{"field": "purchased_product", "op": "equals", "value": "lamp"}],
    "purchased_product does_not_equal": [{"field": "purchased_product", "op": "does_not_equal", "value": "lamp"}],
    "device_os": [{"field": "device_os", "op": "contains_any_of", "value": ["Android"]}],
    "session_count": [{"field": "session_count", "op": "more_than", "value": 0}],
    "more than 2 events in 30 days": [_WINDOW],
    "the same, with a property": [{**_WINDOW, "property": {"name": "n", "op": "less_than", "value": 3}}],
    "less than 1 event in 7 days": [{**_WINDOW, "op": "less_than", "x": 1, "y": 7}],
}


def measure(stack: Stack, options: Options) -> Iterator[Row]:
    """Seconds for each count, with what was found. Raises BenchError for a wrong count or a missed goal."""
    site, users = filled(stack, options)
    database = Database(site.url, pool_size=2, timeout_seconds=TIMEOUT_SECONDS)
    slow = []
    now_us = audience.today_us()
    try:
        floors = {}
        for name, sql in _FLOORS.items():
            floors[name], _, notes = _timed(stack, database, _bare(site, sql))
            say(f"  floor, {name}: {floors[name]:.2f} s. {notes}")
            yield Row(f"segments, {stack.store}: {name}, {users:,} profiles", floors[name] * 1000, "ms", notes=notes)
        scan = floors[ATTRIBUTES]
        for name, filters in COUNTED.items():
            definition = read_definition({"groups": [{"filters": filters}]}, is_pattern, lambda _: None)
            try:
                seconds, found, notes = _timed(
                    stack,
                    database,
                    lambda connection, d=definition: run.count(connection, site.workspace_id, d, now_us),  # type: ignore[misc]
                )
            except OperationalError as error:  # the others have their turn
                if not isinstance(error.orig, QueryCanceled):
                    raise
                say(f"  {name}: ended after {TIMEOUT_SECONDS:g} s")
                slow.append(f"{name}: more than {TIMEOUT_SECONDS:g} s")
                continue
            if name == ARTICLE and found != users // 10:
                raise BenchError(f"{name}: {found:,} people instead of {users // 10:,}")
            yield Row(
                f"segments, {stack.store}: {name}", seconds * 1000, "ms", scan * 1000, f"{found:,} people. {notes}"
            )
            say(f"  {name}: {seconds:.2f} s, {found:,} people. {notes}")
            if seconds > (ARTICLE_GOAL if name == ARTICLE else GOAL):
                slow.append(f"{name}: {seconds:.2f} s")
    finally:
        database.dispose()
    if slow and not options.quick and stack.postgres is not None:
        raise BenchError(f"slower than the aim: {'; '.join(slow)}")


def filled(stack: Stack, options: Options, *, with_values: bool = True) -> tuple[Site, int]:
    """(the site with all profiles, how many there are). SQLite, for which there is no aim, has a tenth of them.
    `with_values`: segments are counted, so it gets them when it is made."""
    users = options.users * (TIMES if stack.postgres is not None else 1)
    is_new = "segments" not in stack.sites
    site = stack.site("segments")
    if is_new:
        seconds = audience.fill(site, users, with_values=with_values)
        say(f"  {users:,} profiles and {users * audience.OCCURRENCES:,} occurrences written in {seconds:.0f} s")
    return site, users


ATTRIBUTES: Final = "bare scan of attributes"
_FLOORS: Final = {
    "bare count": "select count(*) from profile where workspace_id = :w",
    ATTRIBUTES: "select count(*) from profile_custom where workspace_id = :w and doc like '%no such text%'",
    "bare count of occurrences": "select count(*) from occurrence where workspace_id = :w",
}


def _bare(site: Site, sql: str) -> Callable[[Connection], int]:
    def counted(connection: Connection) -> int:
        run.allow_scans(connection)
        return int(connection.execute(text(sql), {"w": site.workspace_id}).scalar_one())

    return counted


def _timed(stack: Stack, database: Database, work: Callable[[Connection], int]) -> tuple[float, int, str]:
    """(median of some rounds in seconds, what was found, who used the processors)."""
    seconds, found = [], 0
    with database.read() as connection:
        work(connection)  # warms the caches
    before = stack.meter.read()
    for _ in range(ROUNDS):
        with database.read() as connection:
            began = time.monotonic()
            found = work(connection)
            seconds.append(time.monotonic() - began)
    return median(seconds), found, stack.meter.shares(before)
