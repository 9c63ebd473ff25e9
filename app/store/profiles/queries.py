"""Look-ups of many keys in one statement, and the columns of a profile's row."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from app.domain.profile import COMMERCE, DEVICES, EVENTS, MESSAGES, PURCHASES
from app.store.bulk import encode

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
    """One look-up for many keys, which arrive as one JSON array: `columns` of the rows of `table` where `match` holds.

    Both may name the key: `{0}`, `{1}` … are its members, `{one}` is a key that is a string and no array.
    On PostgreSQL the look-up is a lateral subquery behind `offset 0`: that cannot become a hash join over the whole
    workspace, which is what the planner makes of a plain join while its statistics are missing or old (40 ms instead of
    2 for 1,500 keys among 30,000 profiles, and growing with them).
    """

    def __init__(self, table: str, columns: str, match: str, *, numbers: tuple[int, ...] = (), some: str = "") -> None:
        """`numbers` are the positions of members that are integers.

        With `some`, a column that is unique among the rows of a key, `run` takes the parameter `most`: rows for a key.
        """
        looked_up = f"select {columns} from {table} t where t.workspace_id = :workspace_id and {match}"
        members = [_pg_member(n, n in numbers) for n in range(3)]
        looked_up = looked_up.format(*members, one="k.v #>> '{}'")
        self._postgresql = text(
            "select k.n - 1, r.* from jsonb_array_elements(cast(:keys as jsonb)) with ordinality as k(v, n)"
            f" cross join lateral ({looked_up}{' limit :most' if some else ''} offset 0) r"
        )
        members = [f"k.value ->> {n}" for n in range(3)]
        if some:  # a join of SQLite has no limit for each key, but this subquery has
            again = match.replace("t.", "i.")
            match += f" and t.{some} in (select i.{some} from {table} i where i.workspace_id = :workspace_id"
            match += f" and {again} limit :most)"
        joined = f"select k.key, {columns} from json_each(:keys) k cross join {table} t"
        self._sqlite = text(
            f"{joined} where t.workspace_id = :workspace_id and {match}".format(*members, one="k.value")
        )

    def run(self, connection: Connection, workspace_id: int, keys: object, **more: object) -> Sequence[Any]:
        """Rows of (position of the key, *columns). `more` are parameters of the look-up."""
        statement = self._postgresql if connection.dialect.name == "postgresql" else self._sqlite
        # All at once: psycopg then converts the rows in C instead of one by one.
        return connection.execute(statement, {"workspace_id": workspace_id, "keys": encode(keys), **more}).all()


def _pg_member(n: int, is_number: bool) -> str:
    return f"cast(k.v ->> {n} as bigint)" if is_number else f"k.v ->> {n}"
