"""Look-ups of many keys in one statement, and the columns of a profile's row."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from app.domain.profile import COMMERCE, DEVICES, EVENTS, MESSAGES, PURCHASES
from app.store.binary import Numbers, Texts, fetched
from app.store.bulk import encode
from app.store.direct import for_driver
from app.store.stacked import Packed

#: Columns of the table `profile`, in the order of the fields of Profile.
ROW_FIELDS: Final = (
    "pid",
    "braze_id",
    "created_us",
    "updated_us",
    "updated_index",
    "external_id",
    "created_from",
    "random_bucket",
    "flags",
    "revenue_cents",
    "purchase_count",
    "first_purchase_us",
    "last_purchase_us",
    "session_count",
    "first_session_us",
    "last_session_us",
    "size",
)
#: Sections that lie in the table `profile_part`.
PARTS: Final = (EVENTS, PURCHASES, DEVICES, MESSAGES, COMMERCE)


class Query:
    """One look-up for many keys: `columns` of the rows of `table` where `match` holds.

    Both may name the key: `{0}`, `{1}` … are its members, `{one}` is a key that is a string and no tuple.
    On PostgreSQL the keys arrive as an array for each member, and the look-up is a lateral subquery behind `offset 0`:
    that cannot become a hash join over the whole workspace, which is what the planner makes of a plain join while its
    statistics are missing or old (40 ms instead of 2 for 1,500 keys among 30,000 profiles, and growing with them). On
    SQLite they arrive as one JSON array, or as a list of values.
    """

    def __init__(
        self,
        table: str,
        columns: str,
        match: str,
        *,
        numbers: tuple[int, ...] = (),
        some: str = "",
        documents: Sequence[str] | None = None,
    ) -> None:
        """`numbers` are the positions of members that are integers.

        With `some`, a column that is unique among the rows of a key, `run` takes the parameter `most`: rows for a key.
        `documents`: further columns that hold JSON text. With them, or with an empty list, rows come past SQLAlchemy,
        and have no names: tuples from PostgreSQL (app.store.binary), and lists from SQLite, which gives many in one
        step (app.store.stacked). `{length}` in them is how many bytes `s.doc` has.
        """
        everything = ", ".join([columns, *documents]) if documents else columns
        looked_up = f"select {everything} from {table} t where t.workspace_id = :workspace_id and {match}"
        used = [n for n in range(3) if f"{{{n}}}" in looked_up]
        self._is_single = not used
        self._numbers = [n in numbers for n in (used or [0])]
        names = [f"m{n}" for n in range(len(self._numbers))]
        arrays = ", ".join(
            f"cast(:{name} as {'bigint[]' if is_number else 'text[]'})"
            for name, is_number in zip(names, self._numbers, strict=True)
        )
        looked_up = looked_up.format(*(f"k.{name}" for name in names), one="k.m0", length="octet_length(s.doc)")
        postgresql = (
            f"select k.n - 1, r.* from unnest({arrays}) with ordinality as k({', '.join(names)}, n)"
            f" cross join lateral ({looked_up}{' limit :most' if some else ''} offset 0) r"
        )
        self._postgresql = text(postgresql)
        self._binary = "" if documents is None else for_driver(postgresql)
        self._packed: Packed | None = None
        if documents is not None:
            members, length = [f"k.{name}" for name in names], "length(cast(s.doc as blob))"
            named = [one.format(*members, one="k.m0", length=length) for one in (columns, match, *documents)]
            condition = f"t.workspace_id = :workspace_id and {named[1]}"
            self._packed = Packed(named[0], named[2:], table, condition, len(names))
            return
        members = [f"k.value ->> {n}" for n in range(3)]
        if some:  # a join of SQLite has no limit for each key, but this subquery has
            again = match.replace("t.", "i.")
            match += f" and t.{some} in (select i.{some} from {table} i where i.workspace_id = :workspace_id"
            match += f" and {again} limit :most)"
        joined = f"select k.key, {columns} from json_each(:keys) k cross join {table} t"
        self._sqlite = text(
            f"{joined} where t.workspace_id = :workspace_id and {match}".format(*members, one="k.value")
        )

    def run(self, connection: Connection, workspace_id: int, keys: Sequence[Any], **more: object) -> Sequence[Any]:
        """Rows of (position of the key, *columns). `more` are parameters of the look-up."""
        if not keys:
            return []
        if connection.dialect.name != "postgresql":
            if self._packed is not None:
                each = [(key,) for key in keys] if self._is_single else keys
                return self._packed.run(connection, each, {"workspace_id": workspace_id, **more})
            found = connection.execute(self._sqlite, {"workspace_id": workspace_id, "keys": encode(keys), **more})
            return found.all()
        members = [keys] if self._is_single else zip(*keys, strict=True)
        arrays = {
            f"m{n}": (Numbers if is_number else Texts).of(member)
            for n, (is_number, member) in enumerate(zip(self._numbers, members, strict=False))
        }
        if self._binary:
            return fetched(connection, self._binary, {"workspace_id": workspace_id, **arrays, **more})
        # All at once: psycopg then converts the rows in C instead of one by one.
        return connection.execute(self._postgresql, {"workspace_id": workspace_id, **arrays, **more}).all()
