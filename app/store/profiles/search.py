"""Finding people for operators: all of them, by the beginning of an identifier, or by a name. One page at a time.

Identifiers are in an index, so what they begin with is a range of it. Names are in no index: they are read from a
bounded number of profiles, the newest ones first, and the next page goes on behind these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from app.domain.profile import ALIAS, BRAZE, Identifier

#: Profiles whose names are looked at for one page.
SCANNED: Final = 5_000
#: Labels of aliases below which is looked for names that begin with a text; a workspace has a handful.
MAX_LABELS: Final = 200
#: Behind every text that begins with what stands before it.
_LAST: Final = "\U0010ffff"
#: Above every pid.
TOP: Final = 2**63 - 1

_ALL = text(
    "select pid from profile where workspace_id = :workspace_id and pid < :below order by pid desc limit :limit"
)
_FLAGGED = text(
    "select pid from profile where workspace_id = :workspace_id and flags <> 0 and (flags & :flag) <> 0"
    " and pid < :below order by pid desc limit :limit"
)
_LABELS = text(
    """
    with recursive labels(label) as (
        select (select label from identifier where workspace_id = :workspace_id and kind = :kind order by label limit 1)
        union all
        select (select i.label from identifier i where i.workspace_id = :workspace_id and i.kind = :kind
                and i.label > labels.label order by i.label limit 1)
        from labels where labels.label is not null
    )
    select label from labels where label is not null limit :limit
    """
)
_RANGE: Final = (
    "select value, pid from identifier where workspace_id = :workspace_id and kind = :kind and label = :label"
    " and value >= :first and value <= :last{behind} order by value, pid limit :limit"
)
_FROM_FIRST = text(_RANGE.format(behind=""))
_BEHIND = text(_RANGE.format(behind=" and (value, pid) > (:value, :pid)"))
_BY_BRAZE_ID = text("select pid from profile where workspace_id = :workspace_id and braze_id = :braze_id")
_NAMES: Final = (
    "select pid, {first}, {last} from profile_core where workspace_id = :workspace_id and pid < :below"
    " order by pid desc limit :limit"
)
_NAMES_POSTGRESQL = text(
    _NAMES.format(first="cast(doc as jsonb) ->> 'first_name'", last="cast(doc as jsonb) ->> 'last_name'")
)
_NAMES_SQLITE = text(_NAMES.format(first="doc ->> 'first_name'", last="doc ->> 'last_name'"))


@dataclass(frozen=True, slots=True)
class Range:
    """Identifiers of one kind: those that are a text, or begin with it."""

    kind: int
    text: str
    begins: bool = False

    def covers(self, key: Identifier) -> bool:
        """Whether an identifier lies in it."""
        return key[0] == self.kind and (key[2].startswith(self.text) if self.begins else key[2] == self.text)


Entry = tuple[int, str, str, int]
"""(kind, label, value, pid) of an identifier and who has it, in the order of the index."""


def newest(connection: Connection, workspace_id: int, below: int, limit: int, flag: int = 0) -> list[int]:
    """The numbers of at most `limit` profiles below a number, the last made ones first. `flag`: those that have it."""
    values = {"workspace_id": workspace_id, "below": below, "limit": limit}
    if flag:
        return list(connection.execute(_FLAGGED, {**values, "flag": flag}).scalars())
    return list(connection.execute(_ALL, values).scalars())


def identified(
    connection: Connection,
    workspace_id: int,
    ranges: Sequence[Range],
    labels: Sequence[str],
    behind: Entry | None,
    limit: int,
) -> list[Entry]:
    """At most `limit` entries of these ranges, in order, behind one of them; of aliases those with these labels."""
    found: list[Entry] = []
    for wanted in sorted(ranges, key=lambda one: one.kind):
        if behind is not None and wanted.kind < behind[0]:
            continue
        for label in labels if wanted.kind == ALIAS else [""]:
            if behind is not None and (wanted.kind, label) < behind[:2]:
                continue
            after = behind if behind is not None and (wanted.kind, label) == behind[:2] else None
            found += _of(connection, workspace_id, wanted, label, after, limit - len(found))
            if len(found) == limit:
                return found
    return found


def _of(
    connection: Connection, workspace_id: int, wanted: Range, label: str, after: Entry | None, limit: int
) -> list[Entry]:
    if wanted.kind == BRAZE:
        if after is not None:
            return []
        rows = connection.execute(_BY_BRAZE_ID, {"workspace_id": workspace_id, "braze_id": wanted.text})
        return [(BRAZE, "", wanted.text, pid) for pid in rows.scalars()]
    values = {
        "workspace_id": workspace_id,
        "kind": wanted.kind,
        "label": label,
        "first": wanted.text,
        "last": wanted.text + _LAST if wanted.begins else wanted.text,
        "limit": limit,
    }
    if after is not None:
        values |= {"value": after[2], "pid": after[3]}
    rows = connection.execute(_FROM_FIRST if after is None else _BEHIND, values)
    return [(wanted.kind, label, value, pid) for value, pid in rows]


def labels(connection: Connection, workspace_id: int) -> list[str]:
    """The first MAX_LABELS labels of aliases, in order."""
    values = {"workspace_id": workspace_id, "kind": ALIAS, "limit": MAX_LABELS}
    return list(connection.execute(_LABELS, values).scalars())


def named(connection: Connection, workspace_id: int, name: str, below: int, limit: int) -> tuple[list[int], int | None]:
    """(numbers of profiles below one whose name has a text in it, below which number to go on; None = there are none).

    Compared without case. At most SCANNED profiles are looked at, and at most `limit` found.
    """
    statement = _NAMES_POSTGRESQL if connection.dialect.name == "postgresql" else _NAMES_SQLITE
    rows = connection.execute(statement, {"workspace_id": workspace_id, "below": below, "limit": SCANNED}).all()
    wanted = name.casefold()
    found: list[int] = []
    for pid, first, last in rows:
        if wanted in f"{first or ''} {last or ''}".strip().casefold():
            found.append(pid)
            if len(found) == limit:
                return found, pid
    return found, rows[-1][0] if len(rows) == SCANNED else None
