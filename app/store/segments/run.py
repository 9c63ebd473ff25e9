"""Counting, listing and asking who is in a segment, at one instant. No profile is read but those that are returned."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, and_, func, literal_column, select, text

from app.domain.segments.clock import Clock
from app.domain.segments.compare import Comparing
from app.domain.segments.model import Definition, Filter
from app.domain.series import QUARTER_US
from app.store import lane
from app.store.segments import values
from app.store.segments.compile import Compiler
from app.store.segments.patterns import matcher
from app.store.segments.scope import Scope, table

#: What PostgreSQL may do for one of these statements, and not for those of the drain: read whole tables, by several
#: processes, and hash in memory what it joins. It does not remember what it parsed: hardly two documents are alike.
_SESSION: Final = (
    "select set_config('enable_seqscan', 'on', true), set_config('enable_bitmapscan', 'on', true),"
    " set_config('work_mem', '128MB', true), set_config('max_parallel_workers_per_gather', :processes, true),"
    " set_config('enable_memoize', 'off', true), set_config('parallel_tuple_cost', '0.001', true)"
)


#: Processes beside the first for a count that somebody waits for. What a job asks leaves the others to the drain.
_HURRIED, _UNHURRIED = "2", "0"


@dataclass(frozen=True, slots=True)
class Member:
    """One person of a segment."""

    pid: int
    braze_id: str


def count(connection: Connection, workspace_id: int, segment: Definition, now_us: int, *, hurried: bool = True) -> int:
    """How many people are in the segment. `hurried`: somebody waits, so several processes may count. Raises
    TooBroadError."""
    compiler = _compiler(connection, workspace_id, now_us, hurried=hurried)
    return int(connection.execute(compiler.people(segment, func.count())).scalar_one())


def members(
    connection: Connection,
    workspace_id: int,
    segment: Definition,
    now_us: int,
    after: int | None,
    limit: int,
    *,
    hurried: bool = True,
) -> list[Member]:
    """The next people of the segment, by number, behind `after`; None for the first. `hurried` as in `count`. Raises
    TooBroadError."""
    compiler = _compiler(connection, workspace_id, now_us, hurried=hurried)
    profile = compiler.scope.profile
    people = compiler.people(segment, profile.c.pid, profile.c.braze_id).order_by(profile.c.pid).limit(limit)
    if after is not None:
        people = people.where(profile.c.pid > after)
    return [Member(pid, braze_id) for pid, braze_id in connection.execute(people)]


def matches(
    connection: Connection, workspace_id: int, pids: Sequence[int], segment: Definition, now_us: int
) -> set[int]:
    """Which of these people are in the segment. Raises TooBroadError."""
    if not pids:
        return set()
    compiler = _compiler(connection, workspace_id, now_us, pids)
    return set(connection.execute(compiler.people(segment, compiler.scope.profile.c.pid)).scalars())


def reasons(
    connection: Connection, workspace_id: int, pid: int, filters: list[Filter], now_us: int
) -> list[bool] | None:
    """Whether a person matches each of the filters; None for nobody. Raises TooBroadError."""
    compiler = _compiler(connection, workspace_id, now_us, [pid])
    found: list[bool] = []
    for n in range(0, len(filters), _AT_ONCE):
        row = connection.execute(compiler.answers(filters[n : n + _AT_ONCE])).one_or_none()
        if row is None:
            return None
        found += [bool(value) for value in row]
    return found


def quarters(
    connection: Connection, workspace_id: int, segment: Definition, now_us: int, kind: int, name: str, app: str | None
) -> dict[int, int]:
    """{quarter of an hour since 1970: how often people of the segment did something in it}, of the occurrences that are
    kept. Raises TooBroadError.

    `kind` is NAME_EVENT or NAME_PRODUCT; an `app` of None stands for all.
    """
    if "\0" in name or "\0" in (app or ""):
        return {}
    compiler = _compiler(connection, workspace_id, now_us)
    people = compiler.people(segment, compiler.scope.profile.c.pid).subquery()
    names, o, merged = table("name"), table("occurrence"), table("lineage")
    quarter = o.c.time_us.op("/")(literal_column(str(QUARTER_US))).label("quarter")
    of_name = select(names.c.id).where(names.c.workspace_id == workspace_id, names.c.kind == kind, names.c.name == name)
    # Occurrences keep the number of whom they happened to; whoever absorbed that profile has them now.
    root = func.coalesce(merged.c.root_pid, o.c.pid)
    joined = o.outerjoin(merged, and_(merged.c.workspace_id == o.c.workspace_id, merged.c.member_pid == o.c.pid))
    found = (
        select(quarter, func.count().label("count_"))
        .select_from(joined.join(people, people.c.pid == root))
        .where(o.c.workspace_id == workspace_id, o.c.name_id == of_name.scalar_subquery())
        .group_by(quarter)
    )
    if app is not None:
        found = found.where(o.c.app_id == app)
    return {row.quarter: row.count_ for row in connection.execute(found)}


#: Filters that one statement answers.
_AT_ONCE: Final = 50


def zone_of(connection: Connection, workspace_id: int) -> ZoneInfo:
    """The company's time zone."""
    return ZoneInfo(lane.settings(connection, workspace_id).time_zone)


def allow_scans(connection: Connection, *, hurried: bool = True) -> None:
    """Let PostgreSQL read whole tables in this transaction; `hurried`: by several processes."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(_SESSION), {"processes": _HURRIED if hurried else _UNHURRIED})


def _compiler(
    connection: Connection,
    workspace_id: int,
    now_us: int,
    pids: Sequence[int] | None = None,
    *,
    hurried: bool = True,
) -> Compiler:
    if pids is None:
        allow_scans(connection, hurried=hurried)
    clock = Clock(now_us, zone_of(connection, workspace_id))
    scope = Scope(connection, workspace_id, pids, with_values=values.is_filled(connection, workspace_id))
    return Compiler(scope, Comparing(clock, matcher))
