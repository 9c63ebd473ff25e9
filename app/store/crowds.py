"""Addresses that a great many profiles have: only those are loaded that a rule of recency can choose.

An address that everybody gives (`test@example.org`) would otherwise load a hundred thousand profiles for each write.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, text

from app.domain.profile import Key
from app.domain.state import Unloaded


@dataclass(frozen=True, slots=True)
class Limits:
    """How many holders of an address are loaded."""

    #: More holders than this are a crowd.
    holders: int = 100
    #: Of a crowd: the most and the least recently updated ones with and without an external id, so many of each.
    ends: int = 64

    def more(self) -> "Limits":
        """What to try when they were too few."""
        return replace(self, ends=16 * self.ends)


_RECENCY: Final = "updated_us {0}, updated_index {0}, created_us {0}, braze_id {0}"
_COLUMNS: Final = "pid, identified, updated_us, updated_index, created_us, braze_id"
_ENDS: Final = " union all ".join(
    f"select * from (select '{name}' as what, {_COLUMNS} from holders"
    f" where identified = {identified} order by {_RECENCY.format(order)} limit :ends) x"
    for identified in (0, 1)
    for name, order in (("newest", "desc"), ("oldest", "asc"))
)
_CROWD: Final = text(
    f"""
    with holders as materialized (
        select p.pid, case when p.external_id is null then 0 else 1 end as identified,
               p.updated_us, p.updated_index, p.created_us, p.braze_id
        from identifier i cross join profile p
        where i.workspace_id = :workspace_id and i.kind = :kind and i.label = :label and i.value = :value
          and p.workspace_id = i.workspace_id and p.pid = i.pid
    )
    {_ENDS}
    union all
    select 'count', count(*), identified, 0, 0, 0, '' from holders group by identified
    """
)

_Recency = tuple[int, int, int, str]


class Crowd:
    """Who of a crowd is loaded, and what is known of the others."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self.pids: set[int] = set()
        self._counts: dict[int, int] = {}
        self._ends: dict[tuple[int, str], _Recency] = {}
        for what, pid, identified, *recency in rows:
            if what == "count":
                self._counts[identified] = pid
            else:
                self.pids.add(pid)
                end, worst = (identified, what), min if what == "newest" else max
                found: _Recency = (recency[0], recency[1], recency[2], recency[3])
                self._ends[end] = worst(self._ends.get(end, found), found)

    def unloaded(self, loaded: dict[bool, int]) -> list[Unloaded]:
        """Those who are not loaded. `loaded` counts all holders that are: with an external id, and without."""
        return [
            Unloaded(bool(identified), count - loaded[bool(identified)], *self._between(identified))
            for identified, count in sorted(self._counts.items())
            if count > loaded[bool(identified)]
        ]

    def _between(self, identified: int) -> tuple[_Recency, _Recency]:
        return self._ends[identified, "oldest"], self._ends[identified, "newest"]


def crowd(connection: Connection, workspace_id: int, key: Key, ends: int) -> Crowd:
    """The holders of an address, `ends` from each end of each group. Reads a row or two for every holder."""
    kind, label, value = key
    rows = connection.execute(
        _CROWD, {"workspace_id": workspace_id, "kind": kind, "label": label, "value": value, "ends": ends}
    )
    return Crowd(rows.all())
