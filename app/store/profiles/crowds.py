"""Addresses that a great many profiles have: only those are loaded that a rule of recency can choose.

An address that everybody gives (`test@example.org`) would otherwise load a hundred thousand profiles for each write.
Who is at the ends of the ranking by last write is found by looking at all of them, which takes some tenths of a second;
so a worker remembers it, and corrects it by what its batches change, for as long as nobody else applied anything.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import Connection, text

from app.domain.address_book import Unloaded
from app.domain.loading import EVERY_END, NEWEST, OLDEST, Choices, End
from app.domain.profile import Identifier
from app.domain.state import State

_Recency = tuple[int, int, int, str]

#: What a worker remembers of all crowds at most, in units of about 100 bytes: a member takes one, each place of it in
#: a ranking takes four more, and a crowd without members twenty.
MAX_REMEMBERED: Final = 500_000

# Beyond any profile's recency.
_EVER_BEFORE: Final[_Recency] = (-1, 0, 0, "")
_EVER_AFTER: Final[_Recency] = (2**63, 0, 0, "")


@dataclass(frozen=True, slots=True)
class Limits:
    """How many holders of an address are loaded."""

    #: More holders than this are a crowd.
    holders: int = 100
    #: Of a crowd: so many at each end from which the batch chooses, and one more for each that it may take away.
    ends: int = 64
    #: Only those ends.
    sparing: bool = True
    #: So many of each end are looked up, to be remembered.
    depth: int = 2_048

    def more(self) -> "Limits":
        """What to try when they were too few."""
        return replace(self, ends=16 * self.ends, sparing=False)


_RECENCY: Final = "updated_us {0}, updated_index {0}, created_us {0}, braze_id {0}"
_COLUMNS: Final = "cast(pid as text), updated_us, updated_index, created_us, braze_id"
_ENDS: Final = " union all ".join(
    f"select * from (select {identified} as identified, '{name}' as what, {_COLUMNS} from holders"
    f" where identified = {identified} order by {_RECENCY.format(order)} limit :depth) x"
    for identified in (0, 1)
    for name, order in ((NEWEST, "desc"), (OLDEST, "asc"))
)
_CROWD: Final = """
    with holders as materialized (
        select p.pid, case when p.external_id is null then 0 else 1 end as identified,
               p.updated_us, p.updated_index, p.created_us, p.braze_id
        from identifier i cross join profile p
        where i.workspace_id = :workspace_id and i.kind = :kind and i.label = :label and i.value = :value
          and p.workspace_id = :workspace_id and p.pid = i.pid
    )
    {ends}
    union all
    select identified, 'all', {all}, 0, 0, 0, '' from holders group by identified
    """
_CROWD_POSTGRESQL: Final = text(_CROWD.format(ends=_ENDS, all="string_agg(cast(pid as text), ',')"))
_CROWD_SQLITE: Final = text(_CROWD.format(ends=_ENDS, all="group_concat(pid)"))


class _Group:
    """The members of a crowd that have an external id, or those that have none."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self.pids: set[int] = set()
        #: Of each end the first ones.
        self._first: dict[str, dict[int, _Recency]] = {NEWEST: {}, OLDEST: {}}
        #: All others come behind this one.
        self._border: dict[str, _Recency] = {NEWEST: _EVER_BEFORE, OLDEST: _EVER_AFTER}

    def read(self, what: str, pid: str, recency: _Recency) -> None:
        """A row of the query."""
        if what == "all":
            self.pids = {int(one) for one in pid.split(",")}
        else:
            self._first[what][int(pid)] = recency

    def finish(self) -> None:
        """All rows were read."""
        for end, first in self._first.items():
            if len(first) < len(self.pids):
                self._border[end] = self._ranked(end)[-1][0]

    def enter(self, pid: int, recency: _Recency) -> None:
        """A member is new, or was written to."""
        self.leave(pid)
        self.pids.add(pid)
        for end, first in self._first.items():
            border = self._border[end]
            if recency > border if end == NEWEST else recency < border:
                first[pid] = recency
                if len(first) > 4 * self._depth:
                    kept = self._ranked(end)[: self._depth]
                    self._first[end] = {one: found for found, one in kept}
                    self._border[end] = kept[-1][0]

    @property
    def size(self) -> int:
        """As MAX_REMEMBERED counts."""
        return 10 + len(self.pids) + 4 * sum(len(first) for first in self._first.values())

    def leave(self, pid: int) -> None:
        self.pids.discard(pid)
        for first in self._first.values():
            first.pop(pid, None)

    def knows(self, many: int) -> bool:
        """Whether so many of each end are known, or all there are."""
        return all(len(first) >= min(many, len(self.pids)) for first in self._first.values())

    def end(self, end: str, many: int) -> list[tuple[_Recency, int]]:
        return self._ranked(end)[:many]

    def _ranked(self, end: str) -> list[tuple[_Recency, int]]:
        return sorted(((found, pid) for pid, found in self._first[end].items()), reverse=end == NEWEST)


class Ranking:
    """Who is in a crowd, and who of them was written to last and first."""

    def __init__(self, rows: Iterable[Any], depth: int) -> None:
        self._groups = {True: _Group(depth), False: _Group(depth)}
        for identified, what, pid, us, index, created_us, braze_id in rows:
            self._groups[bool(identified)].read(what, pid, (us, index, created_us, braze_id))
        for group in self._groups.values():
            group.finish()

    def __len__(self) -> int:
        return sum(len(group.pids) for group in self._groups.values())

    @property
    def size(self) -> int:
        """As MAX_REMEMBERED counts."""
        return sum(group.size for group in self._groups.values())

    def knows(self, many: int) -> bool:
        """Whether so many of each end of both groups are known, or all there are."""
        return all(group.knows(many) for group in self._groups.values())

    def part(self, ends: Iterable[End], many: int) -> "Part":
        """Those to be loaded."""
        part = Part({identified: len(group.pids) for identified, group in self._groups.items()})
        for identified, end in ends:
            ranked = self._groups[identified].end(end, many)
            part.pids |= {pid for _, pid in ranked}
            if ranked:
                part.borders[identified, end] = ranked[-1][0]
        return part

    def correct(self, state: State, joined: set[int], left: set[int]) -> None:
        """Bring it in step with what a batch changed. The address was given to those who joined."""
        written = state.changes.sections.keys()
        for group in self._groups.values():
            for pid in left | (group.pids & state.changes.removed):
                group.leave(pid)
        # Not all that were written, crowd by crowd: there may be many of both.
        for pid in set().union(*(group.pids & written for group in self._groups.values()), joined & written):
            profile = state.profiles[pid]
            for identified, group in self._groups.items():
                if identified is (profile.external_id is not None):
                    group.enter(pid, profile.recency)
                else:
                    group.leave(pid)


@dataclass(slots=True)
class Part:
    """The members of a crowd that are loaded, and bounds for the others."""

    counts: dict[bool, int]
    pids: set[int] = field(default_factory=set)
    #: Last write of the last one that is loaded, for each end that is.
    borders: dict[End, _Recency] = field(default_factory=dict)

    def unloaded(self, loaded: dict[bool, int]) -> list[Unloaded]:
        """Those who are not loaded. `loaded` counts all holders that are: with an external id, and without."""
        return [
            Unloaded(
                identified,
                count - loaded[identified],
                self.borders.get((identified, OLDEST), _EVER_BEFORE),
                self.borders.get((identified, NEWEST), _EVER_AFTER),
            )
            for identified, count in sorted(self.counts.items())
            if count > loaded[identified]
        ]


class Crowds:
    """The rankings of one workspace."""

    def __init__(self) -> None:
        self._rankings: dict[Identifier, Ranking] = {}
        #: Whether one had to be made anew since this was last set.
        self.looked = False

    @property
    def size(self) -> int:
        """As MAX_REMEMBERED counts."""
        return sum(ranking.size for ranking in self._rankings.values())

    def part(
        self, connection: Connection, workspace_id: int, key: Identifier, limits: Limits, choices: Choices | None
    ) -> Part:
        """Who of the holders of an address is loaded. Reads a row or two for every holder when they are not known."""
        many = limits.ends + (choices.taken if choices else 0)
        ends = choices.ends if choices and limits.sparing else EVERY_END
        ranking = self._rankings.get(key)
        if ranking is None or not ranking.knows(many):
            self._rankings[key] = ranking = _look(connection, workspace_id, key, max(limits.depth, many))
            self.looked = True
        return ranking.part(ends, many)

    def correct(self, state: State) -> None:
        """Bring them in step with what a committed batch changed; those that nobody has any more are forgotten."""
        joined, left = self._by_key(state.changes.identifiers_added), self._by_key(state.changes.identifiers_dropped)
        for key, ranking in list(self._rankings.items()):
            ranking.correct(state, joined[key], left[key])
            if not len(ranking):
                del self._rankings[key]

    def _by_key(self, entries: Iterable[tuple[Identifier, int]]) -> defaultdict[Identifier, set[int]]:
        pids: defaultdict[Identifier, set[int]] = defaultdict(set)
        for key, pid in entries:
            if key in self._rankings:
                pids[key].add(pid)
        return pids


def _look(connection: Connection, workspace_id: int, key: Identifier, depth: int) -> Ranking:
    kind, label, value = key
    statement = _CROWD_POSTGRESQL if connection.dialect.name == "postgresql" else _CROWD_SQLITE
    values = {"workspace_id": workspace_id, "kind": kind, "label": label, "value": value, "depth": depth}
    return Ranking(connection.execute(statement, values).all(), depth)


class Memory:
    """What a worker remembers of crowds between batches: right only while the cursors are where it left them."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Crowds, list[int]]] = {}

    def recall(self, workspace_id: int, cursors: Sequence[int]) -> Crowds:
        """The rankings as of these cursors, held by whoever has the lane. Empty when others have moved it since."""
        crowds, at = self._known.pop(workspace_id, (Crowds(), []))
        return crowds if at == list(cursors) else Crowds()

    def remember(self, workspace_id: int, cursors: Sequence[int], crowds: Crowds) -> None:
        """Keep them for the next batch, once this one is committed."""
        size = crowds.size
        if not size:
            return
        if size + sum(known.size for known, _ in self._known.values()) > MAX_REMEMBERED:
            self._known.clear()
        if size <= MAX_REMEMBERED:
            self._known[workspace_id] = (crowds, list(cursors))

    def forget(self) -> None:
        """A database that was away may have lost the last batches, and others may have applied them in another way."""
        self._known.clear()
