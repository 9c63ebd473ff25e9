"""A workspace for segments: many profiles of 2.4 KB, every second one anonymous, every tenth of all a lead."""

import time
from typing import Final

from sqlalchemy import Connection, text
from sqlmodel import SQLModel

from app.adapters.clock import now_us
from app.domain import sizes
from app.domain.identifiers import identifiers_of
from app.domain.profile import (
    CHANNEL_EMAIL,
    CORE,
    CUSTOM,
    DEVICES,
    EMAIL,
    EVENTS,
    EXTERNAL,
    NAME_EVENT,
    PURCHASES,
    AddressState,
)
from app.domain.state import State
from app.domain.times import DAY
from app.store import partitions
from app.store.engine import Database
from app.store.profiles.save import save
from app.store.segments import values
from app.store.tables import AddressStateRow, IdentifierRow, ProfileCore, ProfileCustom, ProfilePart, ProfileRow
from bench import data, preload
from bench.stack import Site
from bench.table import say

#: Profiles that are made here; the others are made of them by the database, as many at once.
TEMPLATES: Final = 1_000
#: Occurrences of each profile.
OCCURRENCES: Final = 5
EVENT: Final = "viewed"
LEAD: Final = "is_lead_profile"
_WRITTEN: Final = CORE | CUSTOM | EVENTS | PURCHASES | DEVICES
_DOMAIN: Final = "@example.org"
FILL_SECONDS: Final = 10.0
#: Numbers of the profiles begin here: those that the lane gives out, by the place of a request, are far below.
_FIRST: Final = 1 << 61


def today_us() -> int:
    """When segments are counted. The occurrences are of the days before, or the sweeper would drop them."""
    return now_us() // DAY * DAY


def fill(site: Site, users: int, *, with_values: bool = True) -> float:
    """Write the profiles, with their external ids, addresses and occurrences; the seconds that it took. `with_values`:
    as in a workspace that uses segments."""
    began = time.monotonic()
    database = site.open()
    postgresql = database.is_postgresql
    try:
        # Else millions of occurrences lie in the default partition, which every new one has to be compared with.
        partitions.prepare(database, today_us())
        with database.write() as connection:
            if postgresql:
                connection.execute(text("set local statement_timeout = 0"))
            save(connection, site.workspace_id, _templates(), {})
            _multiply(connection, site, users // TEMPLATES - 1, postgresql)
            _occurrences(connection, site, users, postgresql)
        _tidy(database, postgresql)
        if with_values:
            _give_values(database, site)
            _tidy(database, postgresql)
    finally:
        database.dispose()
    return time.monotonic() - began


def _tidy(database: Database, postgresql: bool) -> None:
    """What autovacuum does beside a load that comes over days."""
    with database.main.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if postgresql:
            connection.exec_driver_sql("set statement_timeout = 0")
        connection.exec_driver_sql("vacuum analyze" if postgresql else "analyze")
        if postgresql:
            connection.exec_driver_sql("checkpoint")


def _give_values(database: Database, site: Site) -> None:
    """As for a workspace that uses segments."""
    values.begin(database, site.workspace_id, now_us())
    began = time.monotonic()
    while database.is_postgresql and not values.fill(database, site.workspace_id, FILL_SECONDS):
        pass
    say(f"  values for segments: {time.monotonic() - began:.0f} s, beside nothing else")


def _templates() -> State:
    made = [preload.profile(number) for number in range(TEMPLATES)]
    for number, one in enumerate(made):
        one.pid += _FIRST
        if number % 2:
            one.external_id = None
        if number % 10 == 1:
            one.custom = {**(one.custom or {}), LEAD: True}
        one.size = sizes.of_profile(one)
    part = State(made, complete=True)
    changes = part.changes
    for pid, one in part.profiles.items():
        changes.created.add(pid)
        changes.sections[pid] = _WRITTEN
        # Aliases and phone numbers are in the profiles alone: the copies have those of their templates.
        changes.identifiers_added |= {(key, pid) for key in identifiers_of(one) if key[0] in (EXTERNAL, EMAIL)}
        assert one.core is not None
        changes.addresses[CHANNEL_EMAIL, str(one.core["email"]), ""] = AddressState("opted_in", data.WRITTEN_US)
    changes.written[NAME_EVENT, EVENT, ""] += 1
    return part


def _multiply(connection: Connection, site: Site, copies: int, postgresql: bool) -> None:
    """The templates again and again, each time with other numbers."""
    each = "generate_series(cast(1 as bigint), :copies) as each(k)" if postgresql else _SERIES
    number = ":from + pid + k * :templates"
    external, address = "{0} || '-' || k", f"replace({{0}}, '{_DOMAIN}', '-' || k || '{_DOMAIN}')"
    pid = {"pid": "pid + k * :templates"}
    changed: dict[type[SQLModel], dict[str, str]] = {
        ProfileRow: {
            **pid,
            "braze_id": f"lpad(to_hex({number}), 24, '0')" if postgresql else f"printf('%024x', {number})",
            "external_id": external.format("external_id"),
        },
        ProfileCore: {**pid, "doc": address.format("doc")},
        ProfileCustom: pid,
        ProfilePart: pid,
        IdentifierRow: {
            **pid,
            "value": f"case when kind = {EMAIL} then {address.format('value')} else {external.format('value')} end",
        },
        AddressStateRow: {"address": address.format("address")},
    }
    values = {"w": site.workspace_id, "copies": copies, "templates": TEMPLATES, "from": 1 << 40}
    for model, expressions in changed.items():
        columns = [column.name for column in SQLModel.metadata.tables[str(model.__tablename__)].columns]
        selected = ", ".join(expressions.get(name, name) for name in columns)
        statement = text(
            f"insert into {model.__tablename__} ({', '.join(columns)}) select {selected}"
            f" from {model.__tablename__} cross join {each} where workspace_id = :w"
        )
        connection.execute(statement, {name: values[name] for name in statement.compile().params})


_SERIES: Final = (
    "(with recursive each(k) as (select 1 union all select k + 1 from each where k < :copies) select k from each)"
)


def _occurrences(connection: Connection, site: Site, users: int, postgresql: bool) -> None:
    each = "generate_series(cast(1 as bigint), :copies) as each(k)" if postgresql else _SERIES
    properties = "jsonb_build_object('n', k % 10)" if postgresql else "json_object('n', k % 10)"
    day = f"({today_us()} / {DAY} - 1 - k % 29)"
    connection.execute(
        text(
            "insert into occurrence (workspace_id, day, stream, seq, ordinal, pid, name_id, time_us,"
            f" app_id, properties, quantity, cents) select :w, {day}, 0, k, 0, {_FIRST} + 1 + (k * 7919) % :users,"
            f" (select id from name where workspace_id = :w and name = :event), {day} * {DAY} + k % 1000, null,"
            f" {properties}, 1, 0 from {each}"
        ),
        {"w": site.workspace_id, "copies": users * OCCURRENCES, "users": users, "event": EVENT},
    )
