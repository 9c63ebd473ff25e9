"""Whom a statement is about, and the tables that it joins to their profiles."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    FromClause,
    Select,
    Text,
    and_,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import SQLModel

from app.domain.profile import CORE, CUSTOM
from app.store.bulk import encode
from app.store.segments.leaves import Expression, Json, Listed, PgJson, Rows, document, parsed

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

    def __init__(
        self, connection: Connection, workspace_id: int, pids: Sequence[int] | None = None, *, with_values: bool = False
    ) -> None:
        """`pids`: only these. `with_values`: sections are read from `profile_value`."""
        self.connection = connection
        self.postgresql = postgresql = connection.dialect.name == "postgresql"
        self.with_values = with_values
        self.workspace_id = workspace_id
        self.pids = pids
        self._profile = table("profile").alias("p")
        self.conditions: list[Expression] = [self._profile.c.workspace_id == workspace_id]
        if pids is not None:
            self.conditions.append(self._profile.c.pid.in_(each_of(postgresql, pids)))
        #: Joined tables that what was compiled since the last look needs rows of; whoever looks empties it.
        self.looked_at: list[Any] = []
        self._joins: list[tuple[Any, Expression]] = []
        self._sections: dict[int, Any] = {}
        self._topics: dict[tuple[int, str], Any] = {}
        #: (section, member of it) -> what was parsed.
        self._laterals: dict[tuple[int, str], Any] = {}
        #: With values: section -> what is taken from each of its rows, by name.
        self._taken: dict[int, dict[str, Expression]] = {}
        self._is_inside = False
        self._sees_profile = False

    @property
    def profile(self) -> Any:
        """The rows of the profiles themselves."""
        self._sees_profile = True
        return self._profile

    @property
    def joined(self) -> FromClause:
        """The profiles with all that was needed so far."""
        found: FromClause = self._profile
        for section, taken in self._taken.items():
            # What is taken is no column of the table, so that PostgreSQL makes it of each row before it joins them.
            rows = self._sections[section]
            columns = [value.label(name) for name, value in taken.items()]
            made = select(rows.c.pid, *columns).where(*self._of(section, rows)).subquery(_alias(section))
            found = found.outerjoin(made, made.c.pid == self._profile.c.pid)
        for right, on in self._joins:
            found = found.outerjoin(right, on)
        return found

    def inside(self) -> "Scope":
        """With values: a scope for what may need one section alone."""
        scope = Scope(self.connection, self.workspace_id, self.pids, with_values=True)
        scope._sections, scope._is_inside = self._sections, True
        return scope

    def alone(self) -> int | None:
        """The only section that this scope looked at, None where it looked at anything else."""
        sections = {id(rows): section for section, rows in self._sections.items()}
        seen = {sections[id(rows)] for rows in self.looked_at if id(rows) in sections}
        return seen.pop() if len(seen) == 1 and not self._sees_profile and not self._joins else None

    def take(self, section: int, value: Expression, kind: Any) -> Expression:
        """With values: a value that is made of each row of a section alone; null for whoever has no row.

        It may not be null for null, or PostgreSQL would join the documents themselves.
        """
        self._rows(section)
        taken = self._taken.setdefault(section, {})
        name = f"v{len(taken)}"
        taken[name] = value
        return literal_column(f"{_alias(section)}.{name}", kind)

    def take_listed(self, section: int, listed: Listed) -> Expression:
        """With values: whether what is listed in a section matches; null for whoever has nothing listed."""
        rows = self._rows(section)
        found = listed.of_rows(rows, rows.c.pid, self._of(section, rows)).subquery()
        self.join(found, found.c.pid == self._profile.c.pid)
        value: Expression = found.c.v
        return value

    def _rows(self, section: int) -> Any:
        if section not in self._sections:
            self._sections[section] = table("profile_value").alias(f"s{section}")
        return self._sections[section]

    def _of(self, section: int, rows: Any) -> list[Expression]:
        where = [rows.c.workspace_id == self.workspace_id]
        if "part" in rows.c:
            where.append(rows.c.part == literal_column(str(section)))
        if self.pids is not None:
            where.append(rows.c.pid.in_(each_of(self.postgresql, self.pids)))
        return where

    def section(self, section: int) -> Any:
        """The rows of a section, joined once. Who has nothing there has no row."""
        if self.with_values:
            if self._is_inside:
                self.looked_at.append(self._rows(section))
            return self._rows(section)
        if section not in self._sections:
            alias = table(_TABLES.get(section, "profile_part")).alias(f"s{section}")
            on = [alias.c.workspace_id == self.workspace_id, alias.c.pid == self._profile.c.pid]
            if "part" in alias.c:
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
        self._joins.append((right, on))

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
        if not self.postgresql or self.with_values:
            return true()
        doc = self.section(section).c.doc
        return or_(*(func.strpos(doc, f"{encode(key)}:{encode(value)}") > 0 for value in values))

    def _parsed(self, section: int, key: str) -> Json:
        doc = self.section(section).c.doc
        if not self.postgresql or self._is_inside:
            whole = document(self.postgresql, doc)
            return whole.member(key) if key else whole
        if self.with_values:
            whole = document(self.postgresql, doc)
            value = whole.member(key) if key else whole
            nothing: Expression = literal_column("'null'::jsonb")
            return PgJson(self.take(section, func.nullif(value.value, nothing), JSONB))
        if (section, key) not in self._laterals:
            lateral = parsed(doc, key)
            self.join(lateral, true())
            self._laterals[section, key] = lateral
        return PgJson(self._laterals[section, key].c.v)

    def rows(self, section: int | None = None) -> Rows:
        """Where the values of a section stand, or those of the profile itself."""
        if section is not None and self.with_values and not self._is_inside:
            # They are made of the section's rows, and stand beside the profiles.
            return Rows(lambda: (self.joined,), tuple(self.conditions))
        alias = self.profile if section is None else self.section(section)
        return Rows(
            lambda: (alias, *(lateral for (of, _), lateral in self._laterals.items() if of == section)),
            tuple(self._of(section, alias) if section is not None else self.conditions),
        )


def _alias(section: int) -> str:
    return f"of_{section}"
