"""Whom a statement is about, and the tables that it joins to their profiles."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, FromClause, Select, Text, and_, cast, func, literal, or_, select, true
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import SQLModel

from app.domain.profile import CORE, CUSTOM
from app.store.bulk import encode
from app.store.segments.leaves import Expression, Json, PgJson, Rows, document, parsed

_TABLES: Final = {CORE: "profile_core", CUSTOM: "profile_custom"}


def table(name: str) -> FromClause:
    """A table of the store."""
    return SQLModel.metadata.tables[name]


def each_of(postgresql: bool, values: Sequence[str] | Sequence[int]) -> Select[Any]:
    """The members of a list, however long, as rows of one column."""
    if not postgresql:
        rows = func.json_each(encode(values)).table_valued("value")
        return select(rows.c.value).select_from(rows)
    rows = func.jsonb_array_elements_text(cast(literal(encode(values), Text), JSONB)).table_valued("value")
    numbers = bool(values) and isinstance(values[0], int)
    return select(cast(rows.c.value, BigInteger) if numbers else rows.c.value).select_from(rows)


class Scope:
    """The profiles of a workspace, or some of them, with the sections that filters look at."""

    def __init__(self, postgresql: bool, workspace_id: int, pids: Sequence[int] | None = None) -> None:
        """`pids`: only these."""
        self.postgresql = postgresql
        self.workspace_id = workspace_id
        self.pids = pids
        self.profile = table("profile").alias("p")
        self.joined: FromClause = self.profile
        self.conditions: list[Expression] = [self.profile.c.workspace_id == workspace_id]
        if pids is not None:
            self.conditions.append(self.profile.c.pid.in_(each_of(postgresql, pids)))
        #: Joined tables that what was compiled since the last look needs rows of; whoever looks empties it.
        self.looked_at: list[Any] = []
        self._sections: dict[int, Any] = {}
        self._topics: dict[tuple[int, str], Any] = {}
        #: (section, member of it) -> what was parsed.
        self._laterals: dict[tuple[int, str], Any] = {}

    def section(self, section: int) -> Any:
        """The rows of a section, joined once. Who has nothing there has no row."""
        if section not in self._sections:
            name = _TABLES.get(section, "profile_part")
            alias = table(name).alias(f"s{section}")
            on = [alias.c.workspace_id == self.workspace_id, alias.c.pid == self.profile.c.pid]
            if name == "profile_part":
                on.append(alias.c.part == section)
            self.join(alias, and_(*on))
            self._sections[section] = alias
        self.looked_at.append(self._sections[section])
        return self._sections[section]

    def topic(self, channel: int, address: Expression, topic: str) -> Any:
        """What is recorded of a topic of everybody's address."""
        if (channel, topic) not in self._topics:
            alias = table("address_state").alias(f"t{len(self._topics)}")
            on = [alias.c.workspace_id == self.workspace_id, alias.c.channel == channel]
            self.join(alias, and_(*on, alias.c.address == address, alias.c.group_id == topic))
            self._topics[channel, topic] = alias
        return self._topics[channel, topic]

    def join(self, right: Any, on: Expression) -> None:
        """Join a table of which each profile has one row or none."""
        self.joined = self.joined.outerjoin(right, on)

    def document(self, section: int) -> Json:
        """All of a section."""
        return self._parsed(section, "")

    def entry(self, section: int, key: str) -> Json:
        """A member of a section."""
        return self._parsed(section, key)

    def written(self, section: int, key: str, values: Sequence[object]) -> Expression:
        """Whether the text of a section may have a member with one of these values. Where it has, this is true.

        PostgreSQL asks it of each row before anything is parsed, so that few are. SQLite parses as fast as it searches.
        """
        if not self.postgresql:
            return true()
        doc = self.section(section).c.doc
        return or_(*(func.strpos(doc, f"{encode(key)}:{encode(value)}") > 0 for value in values))

    def _parsed(self, section: int, key: str) -> Json:
        doc = self.section(section).c.doc
        if not self.postgresql or isinstance(doc.type, JSONB):
            whole = document(self.postgresql, doc)
            return whole.member(key) if key else whole
        if (section, key) not in self._laterals:
            lateral = parsed(doc, key)
            self.join(lateral, true())
            self._laterals[section, key] = lateral
        return PgJson(self._laterals[section, key].c.v)

    def rows(self, section: int | None = None) -> Rows:
        """Where the values of a section stand, or those of the profile itself."""
        alias = self.profile if section is None else self.section(section)
        where = [alias.c.workspace_id == self.workspace_id]
        if section is not None and section not in _TABLES:
            where.append(alias.c.part == section)
        if self.pids is not None:
            where.append(alias.c.pid.in_(each_of(self.postgresql, self.pids)))
        return Rows(
            lambda: (alias, *(lateral for (of, _), lateral in self._laterals.items() if of == section)), tuple(where)
        )
