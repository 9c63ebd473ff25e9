"""Blocked profiles (app.domain.spam): few, and found by an index of their own."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import Connection, text

from app.domain.profile import DEPRECATED, EVENTS, EXTERNAL, PURCHASES, SPAM_BLOCKED
from app.store.profiles import look_up

#: What the index has. Of `<> 0` PostgreSQL expects nearly all profiles; of this few.
_BLOCKED: Final = f"(p.flags & {SPAM_BLOCKED}) = {SPAM_BLOCKED}"
_IDS: Final = text(
    "select p.external_id, c.doc from (select p.workspace_id, p.pid, p.external_id from profile p"
    f" where p.workspace_id = :workspace_id and {_BLOCKED} order by p.pid desc limit :most) p"
    " left join profile_core c on c.workspace_id = :workspace_id and c.pid = p.pid"
)


def _names(section: int, keys: str) -> str:
    return (
        f"coalesce((select (select count(*) from {keys}) from profile_part s"
        f" where s.workspace_id = :workspace_id and s.pid = p.pid and s.part = {section}), 0)"
    )


def _page(keys: str) -> str:
    return (
        f"select p.pid, p.braze_id, p.external_id, p.session_count, {_names(EVENTS, keys)} as events,"
        f" {_names(PURCHASES, keys)} as products from profile p"
        f" where p.workspace_id = :workspace_id and {_BLOCKED} and p.pid > :after order by p.pid limit :limit"
    )


_PAGE_POSTGRESQL: Final = text(_page("jsonb_object_keys(cast(s.doc as jsonb))"))
_PAGE_SQLITE: Final = text(_page("json_each(s.doc)"))


@dataclass(frozen=True, slots=True)
class Blocked:
    """A blocked profile, and how much it has of what profiles are blocked for."""

    pid: int
    braze_id: str
    external_id: str | None
    sessions: int
    event_names: int
    product_ids: int


def external_ids(connection: Connection, workspace_id: int, most: int) -> frozenset[str]:
    """Present and former external ids of blocked profiles, at most of so many profiles."""
    found: set[str] = set()
    for external_id, doc in connection.execute(_IDS, {"workspace_id": workspace_id, "most": most}):
        if external_id is not None:
            found.add(external_id)
        if doc is not None:
            found.update(msgspec.json.decode(doc).get("deprecated", ()))
    return frozenset(found)


def among(connection: Connection, workspace_id: int, external_ids_: Collection[str]) -> frozenset[str]:
    """Those of the external ids that lead to a blocked profile."""
    keys = {(kind, "", one): one for one in external_ids_ for kind in (EXTERNAL, DEPRECATED)}
    index = look_up.find(connection, workspace_id, keys)
    people = look_up.fetch(connection, workspace_id, {pid: 0 for pids in index.values() for pid in pids})
    blocked = {one.pid for one in people if one.flags & SPAM_BLOCKED}
    return frozenset(keys[key] for key, pids in index.items() if pids & blocked)


def page(connection: Connection, workspace_id: int, after: int, limit: int) -> list[Blocked]:
    """The next blocked profiles behind a number, in the order of their numbers."""
    statement = _PAGE_POSTGRESQL if connection.dialect.name == "postgresql" else _PAGE_SQLITE
    values = {"workspace_id": workspace_id, "after": after, "limit": limit}
    return [Blocked(*row) for row in connection.execute(statement, values)]
