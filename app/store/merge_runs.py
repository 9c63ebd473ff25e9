"""Merge rules as they are kept, their schedule, and their runs with what these queued."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, and_, bindparam, delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel

from app.domain.commands import STREAM_BULK
from app.domain.ids import merge_id
from app.domain.jobs import MERGE_RUN
from app.domain.merging.match import MergeRule
from app.domain.profile import EMAIL
from app.domain.reasons import ALIAS_RETIRED, PROBLEMS_OMITTED
from app.domain.segments.clock import Clock
from app.store import dead_letters, jobs, lane, request_problems
from app.store.engine import Database
from app.store.reach import here
from app.store.tables import MergeRun

#: What a workspace merges by that never said anything else.
DEFAULT_RULES: Final = (MergeRule(EMAIL),)
#: A request that could not be applied at all: it is a dead letter.
NOT_APPLIED: Final = "not_applied"

#: Ordinal of 1970-01-01.
_EPOCH: Final = 719_163

_WORKSPACE: Final = SQLModel.metadata.tables["workspace"]
_SETUP: Final = SQLModel.metadata.tables["merge_setup"]
_RUN: Final = SQLModel.metadata.tables["merge_run"]
_REQUEST: Final = SQLModel.metadata.tables["merge_run_request"]
_KEEP = text(
    """
    insert into merge_run_request (workspace_id, run_id, n, rule, seq, merges, scanned, alone, skipped, left_alone)
    values (:workspace_id, :run_id, :n, :rule, :seq, :merges, :scanned, :alone, '{}', '{}')
    on conflict (workspace_id, run_id, n) do nothing
    """
)
_STANDING = text(
    "select id, kept_braze_id, merged_braze_id, undone is not null as undone from merge_record"
    " where workspace_id = :workspace_id and id in :ids"
).bindparams(bindparam("ids", expanding=True))
_OLD = text(
    """
    select r.workspace_id, r.id from merge_run r
    join job j on j.workspace_id = :workspace_id and j.id = r.id and j.state not in ('queued', 'running')
    where r.workspace_id = :workspace_id
      and r.created_us < (select min(created_us) from (
          select created_us from merge_run where workspace_id = :workspace_id order by created_us desc limit :most) k)
    """
)
_CROWDED = text(
    "select workspace_id from merge_run where true /*here workspace_id*/ group by workspace_id having count(*) > :most"
)
_FORGET_JOB = text(f"delete from job where workspace_id = :workspace_id and id = :id and kind = '{MERGE_RUN}'")


@dataclass(frozen=True, slots=True)
class Setup:
    """The rules of a workspace, and since when the schedule runs them; None = it does not."""

    rules: tuple[MergeRule, ...] = DEFAULT_RULES
    scheduled_us: int | None = None


@dataclass(slots=True)
class Queued:
    """A request that a run queued, or the end of a rule: see app.store.tables.MergeRunRequest."""

    n: int
    rule: int
    seq: int
    merges: int
    scanned: int
    alone: dict[str, int]
    merged: int | None = None
    skipped: dict[str, int] = field(default_factory=dict)
    undo_seq: int | None = None
    undone: int | None = None
    left_alone: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    """What came of a run so far."""

    #: Merges that it asked for.
    queued: int = 0
    merged: int = 0
    #: {reason: merges that were not done}.
    skipped: dict[str, int] = field(default_factory=dict)
    #: Merges that are not applied yet.
    waiting: int = 0
    #: {reason: groups that were left alone}.
    alone: dict[str, int] = field(default_factory=dict)
    #: Of an undo: merges that were taken back, {reason: merges that were not}. None: nobody asked for one.
    undone: int | None = None
    left_alone: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """A merge of a run as it stands."""

    id: str
    kept_braze_id: str
    merged_braze_id: str
    undone: bool


def setup(connection: Connection, workspace_id: int) -> Setup:
    """The rules and the schedule of a workspace."""
    row = connection.execute(select(_SETUP).where(_SETUP.c.workspace_id == workspace_id)).one_or_none()
    return Setup() if row is None else _setup(row)


def setups(connection: Connection) -> dict[int, Setup]:
    """{workspace: setup} of all workspaces with a schedule that are not disabled."""
    open_ = select(_WORKSPACE.c.id).where(~_WORKSPACE.c.disabled)
    rows = connection.execute(
        select(_SETUP).where(_SETUP.c.scheduled, _SETUP.c.workspace_id.in_(open_), here("merge_setup.workspace_id"))
    )
    return {row.workspace_id: _setup(row) for row in rows}


def change(connection: Connection, workspace_id: int, wanted: Setup) -> None:
    """Keep rules and schedule."""
    values: dict[str, Any] = {
        "rules": [asdict(rule) for rule in wanted.rules],
        "scheduled": wanted.scheduled_us is not None,
        "scheduled_us": wanted.scheduled_us or 0,
    }
    changed = connection.execute(update(_SETUP).where(_SETUP.c.workspace_id == workspace_id).values(**values))
    if not changed.rowcount:
        connection.execute(insert(_SETUP).values(workspace_id=workspace_id, **values))


def start(
    connection: Connection,
    workspace_id: int,
    id_: str,
    rules: Sequence[MergeRule],
    created_by: str,
    now_us: int,
    day: int | None = None,
) -> None:
    """Queue a run. `day`: that of the schedule.

    Raises JobUnderWayError where a run is under way or the schedule had one on that day, and then the transaction is of
    no more use.
    """
    jobs.create(connection, workspace_id, id_, MERGE_RUN, "", {}, created_by, now_us)
    values = {"workspace_id": workspace_id, "id": id_, "created_us": now_us, "day": day}
    try:
        connection.execute(insert(_RUN).values(**values, rules=[asdict(rule) for rule in rules]))
    except IntegrityError as error:
        raise jobs.JobUnderWayError from error


def had_day(connection: Connection, workspace_id: int, day: int) -> bool:
    """Whether the schedule had a run on this day, or on a later one: a workspace may change its time zone."""
    found = select(_RUN.c.id).where(_RUN.c.workspace_id == workspace_id, _RUN.c.day >= day).limit(1)
    return connection.execute(found).first() is not None


def is_due(connection: Connection, workspace_id: int, found: Setup, clock: Clock) -> bool:
    """Whether the schedule has not had its run of the day that it is, by the clock of the workspace."""
    if found.scheduled_us is None or clock.local(found.scheduled_us) >= clock.today:
        return False
    return not had_day(connection, workspace_id, day_of(clock))


def day_of(clock: Clock) -> int:
    """The day that it is, counted from 1970-01-01."""
    return clock.today.toordinal() - _EPOCH


def fetch(connection: Connection, workspace_id: int, run_id: str) -> MergeRun | None:
    """One run."""
    where = _RUN.c.workspace_id == workspace_id, _RUN.c.id == run_id
    row = connection.execute(select(_RUN).where(*where)).one_or_none()
    return None if row is None else _run(row)


def page(connection: Connection, workspace_id: int, before: tuple[int, str], limit: int) -> list[MergeRun]:
    """Runs behind the one of `before` (created_us, id), newest first."""
    us, id_ = before
    behind = (_RUN.c.created_us < us) | ((_RUN.c.created_us == us) & (_RUN.c.id < id_))
    found = select(_RUN).where(_RUN.c.workspace_id == workspace_id, behind)
    return [
        _run(row) for row in connection.execute(found.order_by(_RUN.c.created_us.desc(), _RUN.c.id.desc()).limit(limit))
    ]


def rules_of(run: MergeRun) -> tuple[MergeRule, ...]:
    """The rules of a run."""
    return tuple(msgspec.convert(rule, MergeRule) for rule in run.rules)


def rules_behind(connection: Connection, workspace_id: int, seqs: Sequence[int]) -> dict[int, MergeRule]:
    """The rules that asked for the merges of these requests of the bulk stream."""
    of_run = and_(_RUN.c.workspace_id == _REQUEST.c.workspace_id, _RUN.c.id == _REQUEST.c.run_id)
    wanted = select(_REQUEST.c.seq, _REQUEST.c.rule, _RUN.c.rules).join(_RUN, of_run)
    rows = connection.execute(wanted.where(_REQUEST.c.workspace_id == workspace_id, _REQUEST.c.seq.in_(seqs)))
    return {row.seq: msgspec.convert(row.rules[row.rule], MergeRule) for row in rows}


def keep(connection: Connection, workspace_id: int, run_id: str, queued: Queued) -> None:
    """Record a request that was queued. Harmless when it is recorded."""
    names = ("n", "rule", "seq", "merges", "scanned")
    values = {name: getattr(queued, name) for name in names} | {"alone": _json(queued.alone)}
    connection.execute(_KEEP, {"workspace_id": workspace_id, "run_id": run_id, **values})


def requests(
    connection: Connection, workspace_id: int, run_id: str, behind: int = 0, limit: int = 2**31
) -> list[Queued]:
    """What a run queued behind number `behind`, in its order."""
    found = (
        select(_REQUEST).where(*_of(workspace_id, run_id), _REQUEST.c.n > behind).order_by(_REQUEST.c.n).limit(limit)
    )
    return [_queued(row) for row in connection.execute(found)]


def settle(connection: Connection, workspace_id: int, secret: bytes, run_id: str, queued: Queued) -> bool:
    """Look what came of a request, if it is applied, and record it. False when it is not."""
    merged = outcome(connection, workspace_id, secret, queued)
    if merged is None:
        return False
    queued.merged, queued.skipped = merged
    values = {"merged": queued.merged, "skipped": _json(queued.skipped)}
    connection.execute(update(_REQUEST).where(*_of(workspace_id, run_id), _REQUEST.c.n == queued.n).values(**values))
    return True


def outcome(
    connection: Connection, workspace_id: int, secret: bytes, queued: Queued
) -> tuple[int, dict[str, int]] | None:
    """(how many merges of a request were done, {reason: how many were not}); None while it is not applied."""
    problems = _problems(connection, workspace_id, queued.seq)
    if problems is None:
        return None
    if problems == NOT_APPLIED:
        return 0, {NOT_APPLIED: queued.merges}
    refused = {index: reason for _, index, _, reason in problems if reason not in (ALIAS_RETIRED, PROBLEMS_OMITTED)}
    skipped = Counter(refused.values())
    if any(reason == PROBLEMS_OMITTED for *_, reason in problems):
        ids = merge_ids(workspace_id, secret, queued)
        there = standing(connection, workspace_id, ids).keys()
        skipped[PROBLEMS_OMITTED] = sum(id_ not in there and n not in refused for n, id_ in enumerate(ids))
    skipped = +skipped
    return queued.merges - skipped.total(), dict(skipped)


def settle_undo(connection: Connection, workspace_id: int, secret: bytes, run_id: str, queued: Queued) -> bool:
    """As `settle`, for the request that takes the merges of this one back."""
    problems = _problems(connection, workspace_id, queued.undo_seq or 0)
    if problems is None:
        return False
    there = standing(connection, workspace_id, merge_ids(workspace_id, secret, queued)).values()
    queued.undone = sum(merge.undone for merge in there)
    if problems == NOT_APPLIED:
        queued.left_alone = {NOT_APPLIED: len(there) - queued.undone}
    else:
        queued.left_alone = dict(Counter(reason for *_, reason in problems))
    values = {"undone": queued.undone, "left_alone": _json(queued.left_alone)}
    connection.execute(update(_REQUEST).where(*_of(workspace_id, run_id), _REQUEST.c.n == queued.n).values(**values))
    return True


def report(connection: Connection, workspace_id: int, secret: bytes, queued: Sequence[Queued]) -> Report:
    """What came of all that a run queued. Requests that nobody looked at are looked at now."""
    found = Report(alone=_totals(one.alone for one in queued))
    skipped = []
    for one in queued:
        found.queued += one.merges
        known = (one.merged, one.skipped) if one.merged is not None else None
        if known is None and one.seq:
            known = outcome(connection, workspace_id, secret, one)
        if known is None:
            found.waiting += one.merges
        else:
            found.merged += known[0] or 0
            skipped.append(known[1])
    found.skipped = _totals(skipped)
    if any(one.undo_seq for one in queued):
        found.undone = sum(one.undone or 0 for one in queued)
        found.left_alone = _totals(one.left_alone for one in queued)
    return found


def undoing(connection: Connection, workspace_id: int, run_id: str, n: int, seq: int) -> None:
    """Record which request takes the merges of a request back."""
    where = *_of(workspace_id, run_id), _REQUEST.c.n == n
    connection.execute(update(_REQUEST).where(*where).values(undo_seq=seq))


def merge_ids(workspace_id: int, secret: bytes, queued: Queued) -> list[str]:
    """The ids that the merges of a request have, in its order, whether they were done or not."""
    return [merge_id(secret, workspace_id, STREAM_BULK, queued.seq, ordinal) for ordinal in range(queued.merges)]


def standing(connection: Connection, workspace_id: int, ids: Sequence[str]) -> dict[str, Standing]:
    """Merges by id, without those that were never done or are gone with a person who was deleted."""
    rows = connection.execute(_STANDING, {"workspace_id": workspace_id, "ids": list(ids)})
    return {row.id: Standing(row.id, row.kept_braze_id, row.merged_braze_id, bool(row.undone)) for row in rows}


def expire(database: Database, most: int) -> int:
    """Forget the oldest finished runs of workspaces that have more than `most`; how many."""
    with database.read() as connection:
        crowded = connection.execute(_CROWDED, {"most": most}).scalars().all()
    removed = 0
    for workspace_id in crowded:
        with database.write() as connection:
            for row in connection.execute(_OLD, {"workspace_id": workspace_id, "most": most}).all():
                connection.execute(delete(_REQUEST).where(*_of(workspace_id, row.id)))
                connection.execute(delete(_RUN).where(_RUN.c.workspace_id == workspace_id, _RUN.c.id == row.id))
                connection.execute(_FORGET_JOB, {"workspace_id": workspace_id, "id": row.id})
                removed += 1
    return removed


def _totals(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items()))


def _problems(connection: Connection, workspace_id: int, seq: int) -> Any:
    """Problems of a request of the bulk stream; NOT_APPLIED for a dead letter; None while it is not applied."""
    found = lane.read(connection, workspace_id)
    if found is None or found.cursors[STREAM_BULK] < seq:
        return None
    if dead_letters.get(connection, workspace_id, STREAM_BULK, seq) is not None:
        return NOT_APPLIED
    return request_problems.read(connection, workspace_id, STREAM_BULK, seq)


def _of(workspace_id: int, run_id: str) -> tuple[Any, Any]:
    return _REQUEST.c.workspace_id == workspace_id, _REQUEST.c.run_id == run_id


def _setup(row: Any) -> Setup:
    rules = tuple(msgspec.convert(rule, MergeRule) for rule in row.rules)
    return Setup(rules, row.scheduled_us if row.scheduled else None)


def _run(row: Any) -> MergeRun:
    return MergeRun(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it


def _queued(row: Any) -> Queued:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    del values["workspace_id"], values["run_id"]
    for name in ("alone", "skipped", "left_alone"):
        values[name] = msgspec.json.decode(values[name])
    return Queued(**values)


def _json(counts: dict[str, int]) -> str:
    return msgspec.json.encode(dict(sorted(counts.items()))).decode()
